/* SPDX-License-Identifier: MIT */
/* The first 16550 UART, for input only. Takes no lock: its one user, the console, has one. */
#include "drivers/serial.h"
#include "kernel/print.h"
#include "kernel/x86/cpu.h"

#define COM1 0x3f8
enum uart_register {
	UART_DATA = COM1,	  /* with DLAB: divisor, low byte */
	UART_INTERRUPTS = COM1 + 1, /* with DLAB: divisor, high byte */
	UART_FIFO = COM1 + 2,
	UART_LINE = COM1 + 3,
	UART_MODEM = COM1 + 4,
	UART_STATUS = COM1 + 5,
};
#define LINE_8N1 0x03
#define LINE_DLAB 0x80
#define FIFO_ENABLE_14 0xc1 /* enabled, told of from 14 bytes on, so that a sender may fill it that far */
#define MODEM_DTR_RTS 0x03
#define STATUS_DATA_READY 0x01
#define STATUS_NOTHING_THERE 0xff /* no device answers */

void serial_init(void)
{
	outb(UART_INTERRUPTS, 0);
	outb(UART_LINE, LINE_DLAB | LINE_8N1);
	outb(UART_DATA, 1); /* 115200 baud */
	outb(UART_INTERRUPTS, 0);
	outb(UART_LINE, LINE_8N1);
	outb(UART_FIFO, FIFO_ENABLE_14);
	outb(UART_MODEM, MODEM_DTR_RTS);
	klog_record("FAULTLINE-STDIN ready"); /* the host sends nothing earlier: enabling the FIFO empties it */
}

int serial_read(void)
{
	u8 status = inb(UART_STATUS);

	return status != STATUS_NOTHING_THERE && (status & STATUS_DATA_READY) ? inb(UART_DATA) : -1;
}
