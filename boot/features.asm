; SPDX-License-Identifier: MIT
; Checks the CPU features without which neither paging nor C code works, before either is used.
;
; The rows are those of kernel/x86/features.h. If a feature is missing, writes a sentence to every console (QEMU's debug
; console, the first serial port, the text screen) and switches the machine off.

	extern boot_features
	global check_early_features

; struct cpu_feature
struc feature
.leaf:	resd 1
.reg:	resb 1			; 0 to 3: eax, ebx, ecx, edx
.bit:	resb 1
.need:	resb 1
.name:	resb 9
.what:	resb 48
endstruc
EARLY equ 0			; enum feature_need

EFLAGS_ID equ 1 << 21
DEBUGCON equ 0xe9
COM1 equ 0x3f8
COM1_LINE_STATUS equ COM1 + 5
LINE_STATUS_CAN_SEND equ 0x20
SERIAL_PATIENCE equ 1000000	; polls of a serial line that accepts nothing
BIOS_VIDEO equ 0x449		; the mode in one byte, the number of columns in two
TEXT_MODE equ 80 << 8 | 3
TEXT_SCREEN equ 0xb8000
TEXT_SCREEN_END equ TEXT_SCREEN + 80 * 25 * 2
TEXT_WHITE_ON_RED equ 0x4f
CMOS_ADDRESS equ 0x70
CMOS_DATA equ 0x71
HOLD_SECONDS equ 10		; drivers/screen.c has the same
HOLD_PATIENCE equ 1 << 28	; reads of a clock that stands still
ACPI_PORT equ 0x604		; drivers/power.c
ACPI_OFF equ 0x2000
ISA_DEBUG_EXIT equ 0xf4

	section .boot.text progbits alloc exec nowrite align=16
	bits 32

; Returns if all features are present. Preserves edi and esi.
check_early_features:
	call has_cpuid
	jz no_cpuid
	push esi
	push edi
	mov esi, boot_features
.next:
	cmp dword [esi + feature.leaf], 0
	je .all
	cmp byte [esi + feature.need], EARLY
	jne .there
	call ask
	jnc missing
.there:
	add esi, feature_size
	jmp .next
.all:
	pop edi
	pop esi
	ret

; Sets ZF if the CPU has no CPUID: then EFLAGS.ID cannot be changed.
has_cpuid:
	pushfd
	pop eax
	mov ecx, eax
	xor eax, EFLAGS_ID
	push eax
	popfd
	pushfd
	pop eax
	push ecx
	popfd
	xor eax, ecx
	test eax, EFLAGS_ID
	ret

; Sets CF if the CPU has the feature at esi. A leaf beyond the CPU's last one has no features.
ask:
	mov eax, [esi + feature.leaf]
	and eax, 0x80000000
	cpuid
	cmp eax, [esi + feature.leaf]
	jb .no
	mov eax, [esi + feature.leaf]
	cpuid
	push edx
	push ecx
	push ebx
	push eax
	movzx ecx, byte [esi + feature.reg]
	mov eax, [esp + ecx * 4]
	add esp, 16
	movzx ecx, byte [esi + feature.bit]
	bt eax, ecx
	ret
.no:
	clc
	ret

no_cpuid:
	mov esi, cpuid_row
; Reports the missing feature, whose row is at esi, and switches the machine off.
missing:
	mov edi, TEXT_SCREEN
	mov ebx, esi
	mov esi, text_before
	call say
	lea esi, [ebx + feature.name]
	call say
	mov esi, text_between
	call say
	lea esi, [ebx + feature.what]
	call say
	mov esi, text_after
	call say
	call has_screen
	jne .off
	call hold_screen
.off:
	mov dx, ACPI_PORT
	mov ax, ACPI_OFF
	out dx, ax
	xor al, al
	out ISA_DEBUG_EXIT, al
.stop:
	hlt
	jmp .stop

; Writes the text at esi to each console. edi: the next position on the screen, which is advanced.
say:
	lodsb
	test al, al
	jz .done
	out DEBUGCON, al
	cmp al, 10
	jne .visible
	mov al, 13
	call say_serial
	mov al, 10
	call say_serial
	mov edi, TEXT_SCREEN_END	; the screen shows the first line only
	jmp say
.visible:
	call say_serial
	call say_screen
	jmp say
.done:
	ret

say_serial:
	mov ah, al
	mov ecx, SERIAL_PATIENCE
	mov dx, COM1_LINE_STATUS
.wait:
	in al, dx
	test al, LINE_STATUS_CAN_SEND
	loopz .wait
	mov al, ah
	mov dx, COM1
	out dx, al
	ret

say_screen:
	call has_screen
	jne .done
	cmp edi, TEXT_SCREEN_END
	jae .done
	mov ah, TEXT_WHITE_ON_RED
	stosw
.done:
	ret

; Sets ZF if the BIOS has left a text screen.
has_screen:
	push eax
	mov eax, [BIOS_VIDEO]
	and eax, 0xffffff
	cmp eax, TEXT_MODE
	pop eax
	ret

; Waits HOLD_SECONDS, so that the screen can be read.
hold_screen:
	mov ecx, HOLD_SECONDS
	mov edx, HOLD_PATIENCE
	call second
	mov ah, al
.next:
	dec edx
	jz .done
	call second
	cmp al, ah
	je .next
	mov ah, al
	loop .next
.done:
	ret

second:
	xor al, al
	out CMOS_ADDRESS, al
	in al, CMOS_DATA
	ret

text_before:	db "FAULTLINE-PANIC Faultline needs a CPU with ", 0
text_between:	db ": ", 0
text_after:	db 10, "FAULTLINE-PANIC-END", 10, 0
	align 4
cpuid_row:
	dd 0
	db 0, 0, EARLY
	db "cpuid", 0, 0, 0, 0
	db "the CPUID instruction", 0
