; SPDX-License-Identifier: MIT
; The headers by which boot loaders recognise the kernel: the multiboot2 header, and the ELF note with the PVH entry,
; which `qemu -kernel` uses.

	extern boot_pvh

	section .boot.header progbits alloc noexec nowrite align=8

MULTIBOOT2_MAGIC equ 0xe85250d6
ARCHITECTURE_I386 equ 0

header:
	dd MULTIBOOT2_MAGIC
	dd ARCHITECTURE_I386
	dd header_end - header
	dd 0x100000000 - (MULTIBOOT2_MAGIC + ARCHITECTURE_I386 + (header_end - header))
	; Tag: modules must start on page boundaries.
	align 8
	dw 6, 0
	dd 8
	; The tag that ends the list.
	align 8
	dw 0, 0
	dd 8
header_end:

	section .note.pvh note alloc noexec nowrite align=4

	dd 4, 4, 18		; length of the name, of the value, XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dd boot_pvh
