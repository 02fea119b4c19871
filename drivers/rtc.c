/* SPDX-License-Identifier: MIT */
/*
 * Reads the MC146818 clock. Its registers are read until two readings agree, since it may be updating them in between.
 */
#include "drivers/rtc.h"
#include "kernel/lib/string.h"
#include "kernel/x86/cpu.h"

#define CMOS_ADDRESS 0x70
#define CMOS_DATA 0x71
#define REGISTER_A 0x0a
#define REGISTER_B 0x0b
#define A_UPDATING 0x80
#define B_24_HOURS 0x02
#define B_BINARY 0x04
#define HOUR_PM 0x80
#define TRIES 100000

struct rtc_time {
	u8 second, minute, hour, day, month, year;
};

static u8 cmos_read(u8 reg)
{
	outb(CMOS_ADDRESS, reg);
	return inb(CMOS_DATA);
}

static struct rtc_time read_registers(void)
{
	for (int i = 0; i < TRIES && (cmos_read(REGISTER_A) & A_UPDATING); i++)
		cpu_relax();
	return (struct rtc_time){ cmos_read(0), cmos_read(2), cmos_read(4), cmos_read(7), cmos_read(8), cmos_read(9) };
}

static u8 from_bcd(u8 value)
{
	return (u8)((value >> 4) * 10 + (value & 15));
}

static void decode(struct rtc_time *t)
{
	u8 format = cmos_read(REGISTER_B);
	u8 pm = t->hour & HOUR_PM;

	t->hour &= (u8)~HOUR_PM;
	if (!(format & B_BINARY)) {
		u8 *field = &t->second;

		for (size_t i = 0; i < sizeof(*t); i++)
			field[i] = from_bcd(field[i]);
	}
	if (!(format & B_24_HOURS))
		t->hour = (u8)(t->hour % 12 + (pm ? 12 : 0));
}

/*
 * Returns the days from 1970 to a date of the Gregorian calendar. Counts years from March, so that February comes last.
 */
static u64 days_since_1970(u64 year, u64 month, u64 day)
{
	u64 y = month <= 2 ? year - 1 : year;
	u64 m = month <= 2 ? month + 9 : month - 3;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

u64 rtc_read(void)
{
	struct rtc_time t = read_registers(), again;

	for (int i = 0; i < TRIES; i++) {
		again = read_registers();
		if (!memcmp(&t, &again, sizeof(t)))
			break;
		t = again;
	}
	decode(&t);
	return days_since_1970(2000 + t.year, t.month, t.day) * 86400 + t.hour * 3600UL + t.minute * 60UL + t.second;
}
