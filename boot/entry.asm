; SPDX-License-Identifier: MIT
; Switches from the boot loader's 32-bit protected mode to 64-bit C code.
;
;	multiboot2:	eax = 0x36d76289, ebx = information structure
;	PVH:		ebx = struct hvm_start_info
;
; Both entries switch to long mode with initial page tables. These map the lower 4 GiB at the physical addresses and in
; the direct map, and the first GiB at the kernel image's addresses. The entries then call boot_main(protocol,
; information). kernel/x86/paging.c replaces the tables; the application processors use them, too, while they start
; (ap.asm).

	extern boot_main
	extern boot_stack_top
	extern check_early_features
	global boot_multiboot2
	global boot_pvh
	global kernel_start64
	global boot_pml4
	global enter_long_mode
	global boot_gdt_pointer

KERNEL_BASE equ 0xffffffff80000000
PROTOCOL_MULTIBOOT2 equ 0
PROTOCOL_PVH equ 1

PAGE_PRESENT equ 1
PAGE_WRITE equ 2
PAGE_LARGE equ 0x80

CR4_PAE equ 1 << 5
MSR_EFER equ 0xc0000080
EFER_LME equ 1 << 8
EFER_NXE equ 1 << 11
CR0_PE equ 1 << 0
CR0_PG equ 1 << 31

	section .boot.text progbits alloc exec nowrite align=16
	bits 32

boot_multiboot2:
	mov edi, PROTOCOL_MULTIBOOT2
	jmp boot_start

boot_pvh:
	mov edi, PROTOCOL_PVH

boot_start:
	cli
	cld
	mov esp, boot_small_stack_top
	mov esi, ebx
	call check_early_features
	call fill_tables
	lgdt [boot_gdt_pointer]
	mov ebp, kernel_start64
	; fall through

; Enables paging and long mode and jumps to ebp. Preserves edi and esi. The GDT is loaded already. APs use it, too.
enter_long_mode:
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, boot_pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME | EFER_NXE
	wrmsr
	mov eax, cr0
	or eax, CR0_PG | CR0_PE
	mov cr0, eax
	push dword 0x10
	push ebp
	retf

fill_tables:
	mov dword [boot_pml4], boot_pdpt + (PAGE_PRESENT | PAGE_WRITE)
	mov dword [boot_pml4 + 273 * 8], boot_pdpt + (PAGE_PRESENT | PAGE_WRITE)	; 0xffff888000000000
	mov dword [boot_pml4 + 511 * 8], boot_pdpt_image + (PAGE_PRESENT | PAGE_WRITE)	; 0xffffffff80000000
	mov dword [boot_pdpt_image + 510 * 8], boot_pd + (PAGE_PRESENT | PAGE_WRITE)
	mov ecx, 0
.pdpt:
	mov eax, ecx
	shl eax, 12
	add eax, boot_pd + (PAGE_PRESENT | PAGE_WRITE)
	mov [boot_pdpt + ecx * 8], eax
	inc ecx
	cmp ecx, 4
	jb .pdpt
	mov ecx, 0
.pd:
	mov eax, ecx
	shl eax, 21
	or eax, PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE
	mov [boot_pd + ecx * 8], eax
	inc ecx
	cmp ecx, 4 * 512
	jb .pd
	ret

	bits 64
kernel_start64:
	xor eax, eax
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov rsp, boot_stack_top
	xor ebp, ebp
	mov rax, boot_main
	call rax
	ud2

	align 8
boot_gdt:
	dq 0
	dq 0x00cf9b000000ffff	; 0x08: 32-bit code
	dq 0x00af9b000000ffff	; 0x10: 64-bit code
	dq 0x00cf93000000ffff	; 0x18: data
boot_gdt_end:
boot_gdt_pointer:
	dw boot_gdt_end - boot_gdt - 1
	dd boot_gdt

	section .boot.tables nobits alloc noexec write align=4096
boot_pml4:
	resb 4096
boot_pdpt:
	resb 4096
boot_pdpt_image:
	resb 4096
boot_pd:
	resb 4 * 4096
	resb 1024
boot_small_stack_top:
