# An add-on of the smallest kind, for the audit's tests: the eight exports, one import, one data relocation.
	.text
	.globl init_hardware, init_driver, uninit_driver, publish_devices, find_device
	.type init_hardware, @function
init_hardware:
	push %rbp
	mov %rsp, %rbp
	call *dprintf@GOTPCREL(%rip)
	BODY
	pop %rbp
	ret
	.size init_hardware, . - init_hardware

	.macro returns_zero name
	.type \name, @function
\name:	xor %eax, %eax
	ret
	.size \name, . - \name
	.endm
	returns_zero init_driver
	returns_zero uninit_driver
	returns_zero publish_devices
	returns_zero find_device

	.section .data.rel.ro, "aw"
	.type hooks, @object
hooks:	.quad hook
	.size hooks, . - hooks

	.text
	.type hook, @function
hook:	lea hooks(%rip), %rax
	HOOK
	ret
	.size hook, . - hook

	EXTRA

	.data
	.globl api_version, modules, module_dependencies
	.macro variable name, value
	.balign 8
	.type \name, @object
\name:	.quad \value
	.size \name, . - \name
	.endm
	variable api_version, 2
	variable modules, hooks
	variable module_dependencies, 0
	.section .note.GNU-stack, "", @progbits
