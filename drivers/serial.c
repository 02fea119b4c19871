/* SPDX-License-Identifier: MIT */
/*
 * Drives the 16550 serial port at COM1.
 *
 * RTS and DTR stay set, so a sender waits only while the FIFO is full. The sending lock only keeps pieces of text
 * together: a CPU that cannot acquire it (an NMI that interrupted its holder, a panic that has stopped the holder)
 * sends without it after a while.
 */
#include "drivers/serial.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/setup.h"
#include "kernel/x86/trap.h"

#define COM1 0x3f8
#define UART_DATA (COM1 + 0)	   /* with LCR_DIVISOR: low byte of the divisor */
#define UART_INTERRUPTS (COM1 + 1) /* with LCR_DIVISOR: high byte */
#define UART_FIFO (COM1 + 2)
#define UART_LINE_CONTROL (COM1 + 3)
#define UART_MODEM_CONTROL (COM1 + 4)
#define UART_LINE_STATUS (COM1 + 5)

#define LCR_8N1 0x03
#define LCR_DIVISOR 0x80
#define FIFO_ENABLE_AND_CLEAR 0x07
#define MCR_DTR_RTS 0x03
#define LSR_DATA_READY 0x01
#define LSR_CAN_SEND 0x20
#define LSR_NOTHING_THERE 0xff /* what a missing device reads as */
#define INTERRUPT_WHEN_RECEIVED 0x01
#define PATIENCE 1000000    /* polls, of the line status or the lock */
#define MCR_INTERRUPTS 0x08 /* connects the interrupt line */

static void (*arrived_handler)(void); /* no lock: an interrupt may still come after it is NULL */

static u32 sending; /* atomic; the sending lock: 1 while held */

void serial_set_up(void)
{
	outb(UART_INTERRUPTS, 0);
	outb(UART_LINE_CONTROL, LCR_DIVISOR | LCR_8N1);
	outb(UART_DATA, 1);
	outb(UART_INTERRUPTS, 0);
	outb(UART_LINE_CONTROL, LCR_8N1);
	outb(UART_FIFO, FIFO_ENABLE_AND_CLEAR);
	outb(UART_MODEM_CONTROL, MCR_DTR_RTS | MCR_INTERRUPTS);
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

/* Does not wait forever for a line that accepts nothing. A missing device seems to accept everything. */
static void send(u8 byte)
{
	for (unsigned i = 0; i < PATIENCE && !(inb(UART_LINE_STATUS) & LSR_CAN_SEND); i++)
		cpu_relax();
	outb(UART_DATA, byte);
}

void serial_write(const char *text, size_t size, bool lines)
{
	unsigned long flags = irq_save();
	bool locked = false;

	for (unsigned i = 0; i < PATIENCE && !(locked = atomic_cas(&sending, 0u, 1u)); i++)
		cpu_relax();
	for (size_t i = 0; i < size; i++) {
		if (lines && text[i] == '\n')
			send('\r');
		send((u8)text[i]);
	}
	if (locked)
		store_release(&sending, 0u);
	irq_restore(flags);
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

void serial_init(void (*arrived)(void))
{
	serial_set_up();
	WRITE_ONCE(arrived_handler, arrived);
	if (arrived)
		ioapic_route(SERIAL_GSI, VECTOR_SERIAL);
}

static bool has_byte(void)
{
	u8 status = inb(UART_LINE_STATUS);

	return status != LSR_NOTHING_THERE && (status & LSR_DATA_READY);
}

int serial_read(void)
{
	return has_byte() ? inb(UART_DATA) : -1;
}

/*
 * Enables the interrupt before it checks for a byte, so that a byte that arrives after the check raises the interrupt.
 */
bool serial_listen(void)
{
	outb(UART_INTERRUPTS, INTERRUPT_WHEN_RECEIVED);
	return has_byte();
}

void serial_interrupt(void)
{
	void (*arrived)(void) = READ_ONCE(arrived_handler);

	outb(UART_INTERRUPTS, 0);
	/* NULL if the interrupt was already under way when the handler was removed. */
	if (arrived)
		arrived();
}
