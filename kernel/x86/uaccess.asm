; SPDX-License-Identifier: MIT
; The instructions that access user memory. Each has an entry in the exception table: its address, the address at which
; to continue after a fault, and 1 if the page must not be faulted in. The functions follow the C calling convention;
; see kernel/uaccess.h.

	global user_copy
	global user_copy_nofault
	global user_clear
	global kernel_read_nofault
	global user_load_raw
	global user_cmpxchg_raw
	global user_xchg_raw
	global user_xadd_raw

%macro ON_FAULT 3			; instruction, fixup, nofault
	section .extable progbits alloc noexec nowrite align=8
	dq %1, %2, %3
	section .text
%endmacro

%macro SMAP 1				; stac or clac; cpu.c patches it to a nop on a CPU without SMAP
%%site:
	%1
	section .smap_sites progbits alloc noexec nowrite align=8
	dq %%site
	section .text
%endmacro

	section .text
	bits 64

; u64 user_copy(void *dst, const void *src, u64 size): returns the number of bytes not copied. Copies whole words first;
; if one faults, it copies the rest byte by byte, up to the byte that faults.
%macro USER_COPY 3			; name, nofault, touches user memory
	align 16
%1:
	mov rcx, rdx
	shr rcx, 3
	and edx, 7
%if %3
	SMAP stac
%endif
%%words:
	rep movsq
%%rest:
	mov rcx, rdx
%%bytes:
	rep movsb
%%end:
%if %3
	SMAP clac
%endif
	mov rax, rcx
	ret
%%word_fault:
	lea rdx, [rdx + rcx * 8]
	jmp %%rest
	ON_FAULT %%words, %%word_fault, %2
	ON_FAULT %%bytes, %%end, %2
%endmacro

	USER_COPY user_copy, 0, 1
	USER_COPY user_copy_nofault, 1, 1
	USER_COPY kernel_read_nofault, 1, 0

; u64 user_clear(void *dst, u64 size): returns the number of bytes not cleared
	align 16
user_clear:
	mov rcx, rsi
	shr rcx, 3
	and esi, 7
	xor eax, eax
	SMAP stac
.words:
	rep stosq
.rest:
	mov rcx, rsi
.bytes:
	rep stosb
.end:
	SMAP clac
	mov rax, rcx
	ret
.word_fault:
	lea rsi, [rsi + rcx * 8]
	jmp .rest
	ON_FAULT .words, .word_fault, 0
	ON_FAULT .bytes, .end, 0

; int user_load_raw(u32 *value, const u32 *user): returns 0 or -EFAULT, as do the next three
	align 16
user_load_raw:
	SMAP stac
.load:
	mov eax, [rsi]
	SMAP clac
	mov [rdi], eax
	xor eax, eax
	ret
	ON_FAULT .load, atomic_fault, 1

; int user_cmpxchg_raw(u32 *user, u32 expect, u32 desired, u32 *old)
	align 16
user_cmpxchg_raw:
	mov eax, esi
	SMAP stac
.cmpxchg:
	lock cmpxchg [rdi], edx
	SMAP clac
	mov [rcx], eax
	xor eax, eax
	ret
	ON_FAULT .cmpxchg, atomic_fault, 1

; int user_xchg_raw(u32 *user, u32 value, u32 *old)
	align 16
user_xchg_raw:
	SMAP stac
.xchg:
	xchg [rdi], esi
	SMAP clac
	mov [rdx], esi
	xor eax, eax
	ret
	ON_FAULT .xchg, atomic_fault, 1

; int user_xadd_raw(u32 *user, u32 value, u32 *old)
	align 16
user_xadd_raw:
	SMAP stac
.xadd:
	lock xadd [rdi], esi
	SMAP clac
	mov [rdx], esi
	xor eax, eax
	ret
	ON_FAULT .xadd, atomic_fault, 1

atomic_fault:
	SMAP clac
	mov eax, -14			; -EFAULT
	ret
