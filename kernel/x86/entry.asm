; SPDX-License-Identifier: MIT
; The entries into the kernel (exceptions, interrupts, SYSCALL), the returns from it, and the switch between kernel
; stacks.
;
; Each entry saves a struct trap_frame (trap.h). The gs base is the user's in user mode and this CPU's struct cpu
; (cpu.h) in kernel mode. Entries from user mode, which the saved CS shows, exchange the two by swapgs, and so do
; returns to it. NMI, #DF and #MC may arrive after an entry from user mode but before its swapgs, so they check the gs
; base itself; they run on stacks of their own.
;
; A return to user mode tests one word, the thread's work flags: zero means that there is no work to do first.

	extern system_call_table
	extern page_fault_user
	extern page_fault_kernel
	extern exception
	extern exception_critical
	extern user_rip_not_canonical
	extern interrupt
	extern exit_to_user
	extern syscall_exit_to_user
	extern task_started
	global syscall_entry
	global syscall_entry_32
	global trap_stubs
	global switch_stacks
	global task_entry_kernel
	global task_entry_user
	global enter_user_mode_at
	global run_on_stack

CPU_CURRENT equ 8
CPU_STACK_TOP equ 16
CPU_USER_RSP equ 24
TASK_WORK equ 0
TASK_KERNEL_RSP equ 16
WORK_FRAME equ 8
NR_SYSCALL_SLOTS equ 512
ENOSYS equ 38
USER_CS equ 0x33
USER_DS equ 0x2b
MSR_GS_BASE equ 0xc0000101

struc frame
.r15:	resq 1
.r14:	resq 1
.r13:	resq 1
.r12:	resq 1
.rbp:	resq 1
.rbx:	resq 1
.r11:	resq 1
.r10:	resq 1
.r9:	resq 1
.r8:	resq 1
.rax:	resq 1
.rcx:	resq 1
.rdx:	resq 1
.rsi:	resq 1
.rdi:	resq 1
.orig_rax: resq 1
.rip:	resq 1
.cs:	resq 1
.rflags: resq 1
.rsp:	resq 1
.ss:	resq 1
endstruc

%macro SAVE_REGISTERS 0
	push rdi
	push rsi
	push rdx
	push rcx
	push rax
	push r8
	push r9
	push r10
	push r11
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
%endmacro

; Leaves rsp at orig_rax.
%macro RESTORE_REGISTERS 0
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	pop r11
	pop r10
	pop r9
	pop r8
	pop rax
	pop rcx
	pop rdx
	pop rsi
	pop rdi
%endmacro

; User mode may have set AC, which would permit the kernel to access user memory. On a CPU without SMAP, cpu.c patches
; this to a nop; .smap_sites lists the places.
%macro CLAC 0
%%site:
	clac
	section .smap_sites progbits alloc noexec nowrite align=8
	dq %%site
	section .text
%endmacro

	section .text
	bits 64

; ---- SYSCALL --------------------------------------------------------------------------------------------------------
; rcx = user rip, r11 = user rflags; FMASK has cleared IF, DF, TF and AC.

	align 16
syscall_entry:
	swapgs
	mov [gs:CPU_USER_RSP], rsp
	mov rsp, [gs:CPU_STACK_TOP]
	push USER_DS
	push qword [gs:CPU_USER_RSP]
	push r11
	push USER_CS
	push rcx
	push rax
	SAVE_REGISTERS
	sti
	mov eax, eax			; as on Linux, only the lower half counts
	cmp eax, NR_SYSCALL_SLOTS
	jae .unknown
	mov rcx, r10
	call [system_call_table + rax * 8]
.answered:
	mov [rsp + frame.rax], rax
	cli
	mov rcx, [gs:CPU_CURRENT]
	cmp dword [rcx + TASK_WORK], 0
	jne .work
	; SYSRET to a non-canonical rip would fault in kernel mode, on the user's stack. The return by iret checks for
	; that.
	mov rcx, [rsp + frame.rip]
	mov rdx, rcx
	shr rdx, 47
	jnz return_to_user_done
	; C code has preserved rbx, rbp and r12 to r15. SYSCALL itself overwrites rcx and r11.
	mov r11, [rsp + frame.rflags]
	mov rdi, [rsp + frame.rdi]
	mov rsi, [rsp + frame.rsi]
	mov rdx, [rsp + frame.rdx]
	mov r10, [rsp + frame.r10]
	mov r8, [rsp + frame.r8]
	mov r9, [rsp + frame.r9]
	mov rsp, [rsp + frame.rsp]
	swapgs
	o64 sysret
.unknown:
	mov rax, -ENOSYS
	jmp .answered
.work:
	mov rdi, rsp
	call syscall_exit_to_user
	jmp return_to_user_done

; SYSCALL from 32-bit code, which has no system calls. It runs on the user's stack and with the user's gs base, so it
; touches no memory.
	align 16
syscall_entry_32:
	mov eax, -ENOSYS
	o32 sysret

; ---- Back to user mode ----------------------------------------------------------------------------------------------

; Entered with interrupts off and rsp at a complete user frame.
return_to_user_slow:
	mov rdi, rsp
	call exit_to_user
return_to_user_done:
	mov rax, [gs:CPU_CURRENT]
	lock and dword [rax + TASK_WORK], ~WORK_FRAME
	; IRET to a non-canonical address (a signal handler's, for example) would fault in kernel mode, after swapgs.
	mov rax, [rsp + frame.rip]
	shr rax, 47
	jnz bad_return_address
return_to_user:
	RESTORE_REGISTERS
	add rsp, 8
	swapgs
	iretq

bad_return_address:
	mov rdi, rsp
	call user_rip_not_canonical
	jmp return_to_user_slow

; Entered with interrupts on or off and rsp at a frame of either mode.
	align 16
trap_return:
	cli
	test byte [rsp + frame.cs], 3
	jz .kernel
	mov rax, [gs:CPU_CURRENT]
	cmp dword [rax + TASK_WORK], 0
	je return_to_user
	jmp return_to_user_slow
.kernel:
	RESTORE_REGISTERS
	add rsp, 8
	iretq

; ---- Page faults: the fast path -------------------------------------------------------------------------------------

	align 16
page_fault_entry:
	test byte [rsp + 16], 3
	jz .kernel
	swapgs
	SAVE_REGISTERS
	cld
	CLAC
	mov rdi, rsp
	mov rsi, [rsp + frame.orig_rax]
	mov rdx, cr2
	sti
	call page_fault_user
	cli
	mov rax, [gs:CPU_CURRENT]
	cmp dword [rax + TASK_WORK], 0
	jne return_to_user_slow
	RESTORE_REGISTERS
	add rsp, 8
	swapgs
	iretq
.kernel:
	SAVE_REGISTERS
	cld
	CLAC
	mov rdi, rsp
	mov rsi, [rsp + frame.orig_rax]
	mov rdx, cr2
	call page_fault_kernel
	cli
	jmp trap_return.kernel

; ---- Other exceptions and interrupts --------------------------------------------------------------------------------

; ENTER vector, has_error_code, handler
%macro ENTER 3
	align 16
entry_%1:
%if %2 == 0
	push -1
%endif
	test byte [rsp + 16], 3
	jz %%from_kernel
	swapgs
%%from_kernel:
	SAVE_REGISTERS
	cld
	CLAC
	mov rdi, rsp
	mov esi, %1
	call %3
	jmp trap_return
%endmacro

; Like ENTER, for exceptions that may interrupt any instruction, even one of another entry. It returns without looking
; at the work flags.
%macro ENTER_CRITICAL 2
	align 16
entry_%1:
%if %2 == 0
	push -1
%endif
	SAVE_REGISTERS
	cld
	CLAC
	xor ebx, ebx
	mov ecx, MSR_GS_BASE
	rdmsr
	test edx, edx
	js %%kernel_gs
	swapgs
	inc ebx
%%kernel_gs:
	mov rdi, rsp
	mov esi, %1
	call exception_critical
	test ebx, ebx
	jz %%back
	swapgs
%%back:
	RESTORE_REGISTERS
	add rsp, 8
	iretq
%endmacro

%define WITH_ERROR_CODE(v) ((v) == 10 || (v) == 11 || (v) == 12 || (v) == 13 || (v) == 17 || (v) == 21)

%assign v 0
%rep 32
	%if v == 14
	%elif v == 2 || v == 18
		ENTER_CRITICAL %[v], 0
	%elif v == 8
		ENTER_CRITICAL %[v], 1
	%else
		ENTER %[v], WITH_ERROR_CODE(v), exception
	%endif
	%assign v v + 1
%endrep

	ENTER 0xf0, 0, interrupt
	ENTER 0xf1, 0, interrupt
	ENTER 0xf2, 0, interrupt
	ENTER 0xf3, 0, interrupt
	ENTER 0xff, 0, interrupt

	section .rodata
	align 8
; The entries of the exceptions in order of their vectors, then { vector, entry } of each interrupt; a zero entry ends
; the list.
trap_stubs:
%assign v 0
%rep 32
	%if v == 14
		dq page_fault_entry
	%else
		dq entry_%[v]
	%endif
	%assign v v + 1
%endrep
	dq 0xf0, entry_0xf0
	dq 0xf1, entry_0xf1
	dq 0xf2, entry_0xf2
	dq 0xf3, entry_0xf3
	dq 0xff, entry_0xff
	dq 0, 0
	section .text

; ---- Switching threads ----------------------------------------------------------------------------------------------

; struct task *switch_stacks(struct task *prev, struct task *next)
	align 16
switch_stacks:
	push rbp
	push rbx
	push r12
	push r13
	push r14
	push r15
	mov [rdi + TASK_KERNEL_RSP], rsp
	mov rsp, [rsi + TASK_KERNEL_RSP]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbx
	pop rbp
	mov rax, rdi
	ret

; A new kernel thread: rbx = function, r12 = its argument (context.c).
task_entry_kernel:
	mov rdi, rax
	call task_started
	sti
	mov rdi, r12
	call rbx
	ud2

; A new user thread: its frame is on top of the stack.
task_entry_user:
	mov rdi, rax
	call task_started
	cli
	jmp return_to_user_slow

; void enter_user_mode_at(struct trap_frame *frame)
enter_user_mode_at:
	cli
	mov rsp, rdi
	jmp return_to_user_slow

; void run_on_stack(void *stack_top, void (*fn)(void)): fn must not return
run_on_stack:
	mov rsp, rdi
	xor ebp, ebp
	call rsi
	ud2
