/* SPDX-License-Identifier: MIT */
/*
 * ksnprintf: C's formatted output without floating point. Conversions: d i u x X o c s p %, the flags - 0 + space #,
 * width and precision (also *), the length modifiers hh h l ll z t. No locks, any context.
 */
#include "kernel/lib/print.h"
#include "kernel/lib/string.h"

struct output {
	char *buf;
	size_t size;
	size_t length; /* of the whole text, which may exceed size */
};

struct spec {
	bool left, zero, plus, space, alternate;
	int width, precision; /* precision -1: none */
	int longs;	      /* -2 … 2: hh, h, none, l, ll and the like */
};

static void format_put(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->buf[out->length] = c;
	out->length++;
}

static void put_padding(struct output *out, char c, int count)
{
	while (count-- > 0)
		format_put(out, c);
}

static void format_put_string(struct output *out, const struct spec *spec, const char *s)
{
	int length = (int)(spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision));

	if (!spec->left)
		put_padding(out, ' ', spec->width - length);
	for (int i = 0; i < length; i++)
		format_put(out, s[i]);
	if (spec->left)
		put_padding(out, ' ', spec->width - length);
}

static int to_digits(char *digits, u64 value, unsigned base, bool upper)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int n = 0;

	for (; value; value /= base)
		digits[n++] = set[value % base];
	return n;
}

/* prefix: the sign or 0x. */
static void put_number(struct output *out, const struct spec *spec, u64 value, unsigned base, bool upper,
		       const char *prefix)
{
	char digits[64];
	int n = to_digits(digits, value, base, upper);
	int wanted = spec->precision < 0 ? 1 : spec->precision;
	int zeros = max(wanted - n, 0);
	int length = (int)strlen(prefix) + zeros + n;

	if (spec->zero && !spec->left && spec->precision < 0 && length < spec->width) {
		zeros += spec->width - length;
		length = spec->width;
	}
	if (!spec->left)
		put_padding(out, ' ', spec->width - length);
	while (*prefix)
		format_put(out, *prefix++);
	put_padding(out, '0', zeros);
	while (n)
		format_put(out, digits[--n]);
	if (spec->left)
		put_padding(out, ' ', spec->width - length);
}

static s64 signed_arg(int longs, va_list *args)
{
	s64 value = longs > 0 ? va_arg(*args, s64) : va_arg(*args, int);

	return longs == -1 ? (s16)value : longs == -2 ? (s8)value : value;
}

static u64 unsigned_arg(int longs, va_list *args)
{
	u64 value = longs > 0 ? va_arg(*args, u64) : va_arg(*args, unsigned);

	return longs == -1 ? (u16)value : longs == -2 ? (u8)value : value;
}

static void put_signed(struct output *out, const struct spec *spec, va_list *args)
{
	s64 value = signed_arg(spec->longs, args);
	const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

	put_number(out, spec, value < 0 ? -(u64)value : (u64)value, 10, false, sign);
}

static void put_unsigned(struct output *out, const struct spec *spec, unsigned base, bool upper, va_list *args)
{
	u64 value = unsigned_arg(spec->longs, args);
	const char *prefix = !spec->alternate || !value ? "" : base == 8 ? "0" : upper ? "0X" : "0x";

	put_number(out, spec, value, base, upper, base == 10 ? "" : prefix);
}

static void convert(struct output *out, struct spec *spec, char conversion, va_list *args)
{
	switch (conversion) {
	case 'd':
	case 'i':
		put_signed(out, spec, args);
		break;
	case 'u':
		put_unsigned(out, spec, 10, false, args);
		break;
	case 'o':
		put_unsigned(out, spec, 8, false, args);
		break;
	case 'x':
	case 'X':
		put_unsigned(out, spec, 16, conversion == 'X', args);
		break;
	case 'p':
		spec->precision = 16;
		put_number(out, spec, va_arg(*args, u64), 16, false, "");
		break;
	case 'c': {
		char text[2] = { (char)va_arg(*args, int), 0 };

		format_put_string(out, spec, text);
		break;
	}
	case 's': {
		const char *s = va_arg(*args, const char *);

		format_put_string(out, spec, s ? s : "(null)");
		break;
	}
	default:
		format_put(out, conversion);
	}
}

static const char *parse_number(const char *fmt, int *number, va_list *args)
{
	if (*fmt == '*') {
		*number = va_arg(*args, int);
		return fmt + 1;
	}
	for (*number = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
		*number = *number * 10 + (*fmt - '0');
	return fmt;
}

static const char *parse_flags(const char *fmt, struct spec *spec)
{
	for (;; fmt++) {
		if (*fmt == '-')
			spec->left = true;
		else if (*fmt == '0')
			spec->zero = true;
		else if (*fmt == '+')
			spec->plus = true;
		else if (*fmt == ' ')
			spec->space = true;
		else if (*fmt == '#')
			spec->alternate = true;
		else
			return fmt;
	}
}

static const char *parse_spec(const char *fmt, struct spec *spec, va_list *args)
{
	*spec = (struct spec){ .precision = -1 };
	fmt = parse_flags(fmt, spec);
	fmt = parse_number(fmt, &spec->width, args);
	if (spec->width < 0) {
		spec->left = true;
		spec->width = -spec->width;
	}
	if (*fmt == '.')
		fmt = parse_number(fmt + 1, &spec->precision, args);
	for (;; fmt++) {
		if (*fmt == 'l' || *fmt == 'z' || *fmt == 't')
			spec->longs++;
		else if (*fmt == 'h')
			spec->longs--;
		else
			return fmt;
	}
}

int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct output out = { .buf = buf, .size = size };
	struct spec spec;
	va_list ap;

	va_copy(ap, args);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			format_put(&out, *fmt);
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, &ap);
		if (!*fmt)
			break;
		convert(&out, &spec, *fmt, &ap);
	}
	va_end(ap);
	if (size)
		buf[min(out.length, size - 1)] = 0;
	return (int)out.length;
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = kvsnprintf(buf, size, fmt, args);
	va_end(args);
	return length;
}
