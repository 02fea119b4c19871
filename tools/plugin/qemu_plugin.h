/* SPDX-License-Identifier: MIT */
/*
 * Declares the part of QEMU's plugin interface that the plugins use, since distributions ship QEMU without its header.
 * The versions of the interface differ in the first arguments of callbacks (qemu_version.h); a callback ignores an
 * argument too many.
 */
#ifndef PLUGIN_QEMU_PLUGIN_H
#define PLUGIN_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t plugin_id;
typedef uint32_t plugin_meminfo;

struct qemu_info; /* QEMU's description of itself; not used */
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

enum plugin_registers { PLUGIN_NO_REGISTERS };
enum plugin_access { PLUGIN_READ = 1, PLUGIN_WRITE, PLUGIN_READ_WRITE };

/* The block is the second argument, after the plugin's number; from PLUGIN_WITHOUT_ID on it is the first. */
typedef void (*plugin_translate_fn)(void *first, void *second);
typedef void (*plugin_execute_fn)(unsigned int cpu, void *arg);
typedef void (*plugin_memory_fn)(unsigned int cpu, plugin_meminfo info, uint64_t vaddr, void *arg);
typedef void (*plugin_exit_fn)(void);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, plugin_translate_fn fn, void *arg);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, plugin_execute_fn fn,
					  enum plugin_registers registers, void *arg);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, plugin_execute_fn fn,
					    enum plugin_registers registers, void *arg);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, plugin_memory_fn fn,
				      enum plugin_registers registers, enum plugin_access access, void *arg);
void qemu_plugin_register_atexit_cb(plugin_id id, plugin_exit_fn fn, void *arg);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(plugin_meminfo info, uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *hwaddr);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *hwaddr);
bool qemu_plugin_mem_is_store(plugin_meminfo info);

#endif
