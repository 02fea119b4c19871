/* SPDX-License-Identifier: MIT */
/* Parsing of mount options. Takes no lock. */
#include "kernel/fs/mount_options.h"
#include "kernel/lib/errno.h"
#include "kernel/lib/string.h"
#include "mm/page/page_alloc.h"

bool mount_option_next(char **options, struct mount_option *option)
{
	static char none[1] = "";
	char *comma, *equals;

	while (**options == ',')
		++*options;
	if (!**options)
		return false;
	option->name = *options;
	comma = strchr(option->name, ',');
	*options = comma ? comma + 1 : option->name + strlen(option->name);
	if (comma)
		*comma = 0;
	equals = strchr(option->name, '=');
	option->value = equals ? equals + 1 : none;
	if (equals)
		*equals = 0;
	return true;
}

/* Parses the number at the start of a text. *end is what follows it. */
static int option_parse(const char *text, u64 *value, const char **end)
{
	u64 base = *text == '0' ? 8 : 10;

	*value = 0;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text < '0' + (char)base; text++)
		if (__builtin_mul_overflow(*value, base, value) ||
		    __builtin_add_overflow(*value, (u64)(*text - '0'), value))
			return -EINVAL;
	*end = text;
	return 0;
}

int mount_option_number(const char *text, u64 *value)
{
	const char *end;
	int ret = option_parse(text, value, &end);

	return ret ? ret : *end ? -EINVAL : 0;
}

static unsigned shift_of(char unit)
{
	switch (unit) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return 0;
	}
}

int mount_option_pages(const char *text, u64 unit, u64 *nr_pages)
{
	const char *end;
	u64 value, percent, bytes;

	if (option_parse(text, &value, &end))
		return -EINVAL;
	unsigned shift = shift_of(*end);
	if (*end == '%' && unit == 1) {
		if (__builtin_mul_overflow(nr_managed_pages(), value, &percent))
			return -EINVAL;
		*nr_pages = percent / 100;
	} else {
		if (__builtin_mul_overflow(value, unit << shift, &bytes))
			return -EINVAL;
		*nr_pages = bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
	}
	end += shift || (*end == '%' && unit == 1);
	return *end ? -EINVAL : 0;
}
