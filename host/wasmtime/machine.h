#ifndef INOS_MACHINE_H
#define INOS_MACHINE_H

#include "wasmtime.h"

enum {
  SLOTS = 32,          // parameters or results of a call that the host makes
  TEXT = 1024,         // bytes of an error's or trap's text
  FRAMES = 4,          // functions of a trap that are named
  NO_TRAP = 255,       // trap_code of a machine that did not trap by itself
};

// One instance. The memory that its guest sees belongs to the Go side.
typedef struct machine {
  wasmtime_store_t *store;
  wasmtime_context_t *context;
  wasmtime_instance_t instance;
  uintptr_t token; // of the Go side
  uint8_t *mem;
  size_t mem_size, mem_capacity;
  wasmtime_val_raw_t slots[SLOTS];
  uint8_t trap_code;
  char text[TEXT];   // of the last failure
  char frames[TEXT]; // its functions, each ended by a newline
} machine_t;

// Failures are answers other than 0; text says which.
enum { DONE = 0, FAILED = 1, TRAPPED = 2 };

wasm_engine_t *inos_engine(size_t stack, size_t reservation, size_t guard);
int inos_compile(wasm_engine_t *, const uint8_t *wasm, size_t len, wasmtime_module_t **, char *text);
int inos_reload(wasm_engine_t *, const char *path, wasmtime_module_t **, char *text);
int inos_serialize(wasmtime_module_t *, wasm_byte_vec_t *, char *text);
int inos_link(wasmtime_linker_t *, wasmtime_module_t *, size_t i, const char *mod, size_t mod_len, const char *name,
              size_t name_len, uintptr_t func, char *text);
int inos_prepare(wasmtime_linker_t *, wasmtime_module_t *, wasmtime_instance_pre_t **, char *text);

machine_t *inos_machine_new(wasm_engine_t *, uintptr_t token);
int inos_machine_start(machine_t *, wasmtime_instance_pre_t *);
void inos_machine_delete(machine_t *);
bool inos_export(machine_t *, const char *name, size_t len, wasmtime_extern_t *out);
int inos_call(machine_t *, wasmtime_func_t *, size_t slots);
uint64_t inos_global_get(machine_t *, wasmtime_global_t *, uint8_t *kind);
void inos_global_set(machine_t *, wasmtime_global_t *, uint8_t kind, uint64_t v);
size_t inos_memory_grow(machine_t *, wasmtime_memory_t *);

#endif
