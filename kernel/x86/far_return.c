/* SPDX-License-Identifier: MIT */
/*
 * Emulates iretq and lretq of user mode for QEMU before 9.1.
 *
 * That QEMU reads the stack of these instructions with supervisor privilege, which SMAP forbids, whatever the
 * page-table entry permits. Programs do use them: the .NET runtime restores a thread's registers with them. In user
 * mode they can do little: a CPU refuses all selectors but the program's own, so only those may get into the frame by
 * which the kernel returns. No locks.
 */
#include "kernel/x86/far_return.h"
#include "kernel/uaccess.h"

#define RFLAGS_TF 0x100UL
#define RFLAGS_NT 0x4000UL
#define RFLAGS_OF_IRET 0x254dd5UL /* CF PF AF ZF SF TF DF OF NT RF AC ID: those that any privilege level may set */

enum { POPPED_RIP, POPPED_CS, POPPED_RFLAGS, POPPED_RSP, POPPED_SS, NR_POPPED };

/*
 * Returns how many words the 64-bit instruction at rip pops, or 0 if it is a different one. *released: the bytes of the
 * stack that lretq imm16 releases in addition.
 */
static unsigned words_popped(const struct trap_frame *frame, u16 *released)
{
	u8 bytes[2];

	*released = 0;
	if (frame->cs != USER_CS || copy_from_user(bytes, frame->rip, sizeof(bytes)) || bytes[0] != 0x48)
		return 0;
	if (bytes[1] == 0xca && copy_from_user(released, frame->rip + sizeof(bytes), sizeof(*released)))
		return 0;
	return bytes[1] == 0xcf ? NR_POPPED : bytes[1] == 0xca || bytes[1] == 0xcb ? POPPED_CS + 1 : 0;
}

static bool code_is_users(u64 selector, u64 rip)
{
	return ((u16)selector == USER_CS && rip >> 47 == 0) || ((u16)selector == USER_CS32 && rip >> 32 == 0);
}

enum far_return far_return_emulate(struct trap_frame *frame)
{
	u16 released;
	unsigned words = words_popped(frame, &released);
	u64 popped[NR_POPPED], flags = frame->rflags;

	if (!words)
		return FAR_RETURN_OTHER;
	if (copy_from_user(popped, frame->rsp, words * sizeof(u64)))
		return FAR_RETURN_FAULTS;
	if (!code_is_users(popped[POPPED_CS], popped[POPPED_RIP]) ||
	    (words == NR_POPPED && ((flags & RFLAGS_NT) || (u16)popped[POPPED_SS] != USER_DS)))
		return FAR_RETURN_BAD;
	frame->rsp += words * sizeof(u64) + released;
	if (words == NR_POPPED) {
		frame->rflags = (popped[POPPED_RFLAGS] & RFLAGS_OF_IRET) | USER_RFLAGS_FIXED;
		frame->rsp = popped[POPPED_RSP];
	}
	frame->rip = popped[POPPED_RIP];
	frame->cs = (u16)popped[POPPED_CS];
	return flags & RFLAGS_TF ? FAR_RETURN_STEPPED : FAR_RETURN_DONE;
}
