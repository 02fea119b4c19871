; SPDX-License-Identifier: MIT
; The start-up code of an application processor.
;
; The processor starts in real mode, at the page below 1 MiB that the start-up IPI names. smp.c copies ap_trampoline
; there; the code works at that address only (AP_TRAMPOLINE). From protected mode on it uses the boot CPU's code.

	extern enter_long_mode
	extern boot_gdt_pointer
	extern kernel_pgd
	extern ap_main
	global ap_trampoline
	global ap_trampoline_end
	global ap_stack_top
	global ap_cpu

AP_TRAMPOLINE equ 0x8000		; kernel/x86/smp.c has the same
%define AT(label) (AP_TRAMPOLINE + label - ap_trampoline)

	section .rodata
	bits 16
ap_trampoline:
	cli
	cld
	xor ax, ax
	mov ds, ax
	lgdt [AT(gdt_pointer)]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 0x08:AT(protected)

	bits 32
protected:
	mov ax, 0x18
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, AP_TRAMPOLINE + 4096
	lgdt [boot_gdt_pointer]
	mov ebp, ap_start64
	mov eax, enter_long_mode
	jmp eax

	align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff	; 0x08: 32-bit code
	dq 0x00af9b000000ffff	; 0x10: 64-bit code
	dq 0x00cf93000000ffff	; 0x18: data
gdt_pointer:
	dw gdt_pointer - gdt - 1
	dd AT(gdt)
ap_trampoline_end:

	section .boot.text
	bits 64
ap_start64:
	mov rax, ap_start_high
	jmp rax

	section .text
ap_start_high:
	xor eax, eax
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov rax, [abs kernel_pgd]
	mov cr3, rax
	mov rsp, [abs ap_stack_top]
	mov edi, [abs ap_cpu]
	xor ebp, ebp
	call ap_main
	ud2

	section .data
	align 8
ap_stack_top:	dq 0	; written by smp.c before each start-up IPI
ap_cpu:		dd 0
