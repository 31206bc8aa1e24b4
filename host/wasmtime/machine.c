//go:build wasmtime && linux && cgo

#define _GNU_SOURCE
#include "machine.h"
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// What the Go side exports; machine.go.
extern int inosServe(uintptr_t token, uintptr_t func, wasmtime_val_raw_t *slots, size_t n);
extern int inosReserve(uintptr_t token, machine_t *m, size_t minimum, size_t reservation, size_t guard);
extern int inosGrow(uintptr_t token, machine_t *m, size_t size);

// Guests run on the stacks of the threads that call, which are made as large as
// the depth that the meter allows may need. Stacks take memory as they are used.
enum { KEPT = 256 << 10 };
static size_t stack_size = 32 << 20;
static size_t stack_need = 28 << 20;

__attribute__((constructor)) static void larger_stacks(void) {
  pthread_attr_t a;
  size_t now = 0;
  if (pthread_attr_init(&a) == 0) {
    pthread_attr_getstacksize(&a, &now);
    if (now < stack_size && pthread_attr_setstacksize(&a, stack_size) == 0)
      pthread_setattr_default_np(&a);
    pthread_attr_destroy(&a);
  }
}

// The lowest address of this thread's stack; 0 when it cannot be told.
static __thread uintptr_t stack_low;

static uintptr_t lowest(void) {
  pthread_attr_t a;
  void *low = NULL;
  size_t size = 0;
  if (stack_low != 0) return stack_low;
  if (pthread_getattr_np(pthread_self(), &a) != 0) return 0;
  if (pthread_attr_getstack(&a, &low, &size) == 0) stack_low = (uintptr_t)low;
  pthread_attr_destroy(&a);
  return stack_low;
}

static void say(char *text, wasmtime_error_t *e) {
  wasm_name_t m;
  wasmtime_error_message(e, &m);
  snprintf(text, TEXT, "%.*s", (int)(m.size < TEXT ? m.size : TEXT - 1), m.data);
  wasm_byte_vec_delete(&m);
  wasmtime_error_delete(e);
}

// settings ------------------------------------------------------------------

static __thread machine_t *starting; // the machine whose instance is being made

static uint8_t *get_memory(void *env, size_t *size, size_t *capacity) {
  machine_t *m = env;
  *size = m->mem_size;
  *capacity = m->mem_capacity;
  return m->mem;
}

static wasmtime_error_t *grow_memory(void *env, size_t size) {
  machine_t *m = env;
  return inosGrow(m->token, m, size) ? NULL : wasmtime_error_new("the guest may not have more memory");
}

static wasmtime_error_t *new_memory(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                    size_t reservation, size_t guard, wasmtime_linear_memory_t *out) {
  (void)env, (void)type, (void)maximum;
  if (starting == NULL || !inosReserve(starting->token, starting, minimum, reservation, guard))
    return wasmtime_error_new("there is no memory for the guest");
  starting->mem_capacity = reservation;
  *out = (wasmtime_linear_memory_t){starting, get_memory, grow_memory, NULL};
  return NULL;
}

wasm_engine_t *inos_engine(size_t stack, size_t reservation, size_t guard) {
  wasm_config_t *c = wasm_config_new();
  wasmtime_memory_creator_t creator = {NULL, new_memory, NULL};
  wasmtime_config_max_wasm_stack_set(c, stack);
  wasmtime_config_wasm_threads_set(c, false);
  wasmtime_config_wasm_tail_call_set(c, false);
  wasmtime_config_wasm_function_references_set(c, false);
  wasmtime_config_wasm_gc_set(c, false);
  wasmtime_config_wasm_relaxed_simd_set(c, false);
  wasmtime_config_wasm_multi_memory_set(c, false);
  wasmtime_config_wasm_memory64_set(c, false);
  wasmtime_config_wasm_exceptions_set(c, false);
  wasmtime_config_memory_init_cow_set(c, false); // the images are ours
  wasmtime_config_memory_may_move_set(c, false);
  wasmtime_config_memory_reservation_set(c, reservation);
  wasmtime_config_memory_guard_size_set(c, guard);
  wasmtime_config_host_memory_creator_set(c, &creator);
  return wasm_engine_new_with_config(c);
}

// code ------------------------------------------------------------------------

static int checked(wasmtime_error_t *e, char *text) {
  if (e == NULL) return DONE;
  say(text, e);
  return FAILED;
}

int inos_compile(wasm_engine_t *e, const uint8_t *wasm, size_t len, wasmtime_module_t **m, char *text) {
  return checked(wasmtime_module_new(e, wasm, len, m), text);
}

int inos_reload(wasm_engine_t *e, const char *path, wasmtime_module_t **m, char *text) {
  return checked(wasmtime_module_deserialize_file(e, path, m), text);
}

int inos_serialize(wasmtime_module_t *m, wasm_byte_vec_t *out, char *text) {
  return checked(wasmtime_module_serialize(m, out), text);
}

static wasm_trap_t *serve(void *func, wasmtime_caller_t *caller, wasmtime_val_raw_t *slots, size_t n) {
  machine_t *m = wasmtime_context_get_data(wasmtime_caller_context(caller));
  static const char stopped[] = "the host stopped the guest";
  return inosServe(m->token, (uintptr_t)func, slots, n) ? NULL : wasmtime_trap_new(stopped, sizeof stopped - 1);
}

// inos_link defines import i, with the type that the module gives it.
int inos_link(wasmtime_linker_t *l, wasmtime_module_t *m, size_t i, const char *mod, size_t mod_len, const char *name,
              size_t name_len, uintptr_t func, char *text) {
  wasm_importtype_vec_t all;
  const wasm_functype_t *type = NULL;
  int rc = FAILED;
  wasmtime_module_imports(m, &all);
  if (i < all.size) type = wasm_externtype_as_functype_const(wasm_importtype_type(all.data[i]));
  if (type == NULL)
    snprintf(text, TEXT, "the module has no import %zu that is a function", i);
  else
    rc = checked(wasmtime_linker_define_func_unchecked(l, mod, mod_len, name, name_len, type, serve, (void *)func, NULL),
                 text);
  wasm_importtype_vec_delete(&all);
  return rc;
}

int inos_prepare(wasmtime_linker_t *l, wasmtime_module_t *m, wasmtime_instance_pre_t **out, char *text) {
  return checked(wasmtime_linker_instantiate_pre(l, m, out), text);
}

// machines --------------------------------------------------------------------

machine_t *inos_machine_new(wasm_engine_t *e, uintptr_t token) {
  machine_t *m = calloc(1, sizeof *m);
  if (m == NULL) return NULL;
  m->token = token;
  m->store = wasmtime_store_new(e, m, NULL);
  m->context = wasmtime_store_context(m->store);
  return m;
}

void inos_machine_delete(machine_t *m) {
  wasmtime_store_delete(m->store);
  free(m);
}

// note keeps what a failed call says.
static int note(machine_t *m, wasmtime_error_t *e, wasm_trap_t *t) {
  m->trap_code = NO_TRAP;
  m->text[0] = m->frames[0] = 0;
  if (e != NULL) {
    say(m->text, e);
    return FAILED;
  }
  if (t == NULL) return DONE;
  if (!wasmtime_trap_code(t, &m->trap_code)) m->trap_code = NO_TRAP;
  wasm_byte_vec_t msg;
  wasm_trap_message(t, &msg);
  snprintf(m->text, TEXT, "%.*s", (int)(msg.size < TEXT ? msg.size : TEXT - 1), msg.data);
  wasm_byte_vec_delete(&msg);
  wasm_frame_vec_t all;
  wasm_trap_trace(t, &all);
  for (size_t i = 0, at = 0; i < all.size && i < FRAMES && at < TEXT - 1; i++) {
    const wasm_name_t *name = wasmtime_frame_func_name(all.data[i]);
    if (name != NULL)
      at += snprintf(m->frames + at, TEXT - at, "%.*s\n", (int)(name->size < 200 ? name->size : 200), name->data);
    else
      at += snprintf(m->frames + at, TEXT - at, "$%u\n", wasm_frame_func_index(all.data[i]));
  }
  wasm_frame_vec_delete(&all);
  wasm_trap_delete(t);
  return TRAPPED;
}

// work is one entry into a guest.
struct work {
  machine_t *m;
  wasmtime_instance_pre_t *pre; // to instantiate; else func is called
  wasmtime_func_t *func;
  size_t slots;
  int rc;
};

static void enter(struct work *w) {
  wasm_trap_t *t = NULL;
  wasmtime_error_t *e;
  if (w->pre != NULL) {
    machine_t *before = starting;
    starting = w->m;
    e = wasmtime_instance_pre_instantiate(w->pre, w->m->context, &w->m->instance, &t);
    starting = before;
  } else {
    e = wasmtime_func_call_unchecked(w->m->context, w->func, w->m->slots, w->slots, &t);
  }
  w->rc = note(w->m, e, t);
}

// inside counts the guests on this thread's stack: one that waits for a host
// function may be entered again from it.
static __thread int inside;

static void *enter_there(void *w) {
  inside = 1;
  enter(w);
  return NULL;
}

// run enters a guest here, or on a thread of its own where the stack is small:
// the process's first thread has one that was not ours to choose.
static int run(struct work *w) {
  uintptr_t here = (uintptr_t)__builtin_frame_address(0), low = lowest();
  if (inside == 0 && (low == 0 || here - low < stack_need)) {
    pthread_attr_t a;
    pthread_t t;
    if (pthread_attr_init(&a) != 0 || pthread_attr_setstacksize(&a, stack_size) != 0 ||
        pthread_create(&t, &a, enter_there, w) != 0) {
      snprintf(w->m->text, TEXT, "there is no thread for the guest");
      w->m->trap_code = NO_TRAP;
      return FAILED;
    }
    pthread_attr_destroy(&a);
    pthread_join(t, NULL);
    return w->rc;
  }
  inside++;
  enter(w);
  inside--;
  if (inside == 0) {
    // A guest that went deep leaves its pages behind.
    long page = sysconf(_SC_PAGESIZE);
    unsigned char resident = 0;
    uintptr_t end = (here - KEPT) & ~(uintptr_t)(page - 1);
    if (end > low + 2 * (uintptr_t)page && mincore((void *)(end - page), page, &resident) == 0 && (resident & 1))
      madvise((void *)(low + page), end - low - page, MADV_DONTNEED);
  }
  return w->rc;
}

int inos_machine_start(machine_t *m, wasmtime_instance_pre_t *pre) {
  struct work w = {.m = m, .pre = pre};
  return run(&w);
}

int inos_call(machine_t *m, wasmtime_func_t *f, size_t slots) {
  struct work w = {.m = m, .func = f, .slots = slots};
  return run(&w);
}

bool inos_export(machine_t *m, const char *name, size_t len, wasmtime_extern_t *out) {
  return wasmtime_instance_export_get(m->context, &m->instance, name, len, out);
}

uint64_t inos_global_get(machine_t *m, wasmtime_global_t *g, uint8_t *kind) {
  wasmtime_val_t v;
  memset(&v, 0, sizeof v);
  wasmtime_global_get(m->context, g, &v);
  *kind = v.kind;
  return (uint64_t)v.of.i64;
}

void inos_global_set(machine_t *m, wasmtime_global_t *g, uint8_t kind, uint64_t value) {
  wasmtime_val_t v;
  memset(&v, 0, sizeof v);
  v.kind = kind;
  v.of.i64 = (int64_t)value;
  wasmtime_error_t *e = wasmtime_global_set(m->context, g, &v);
  if (e != NULL) wasmtime_error_delete(e);
}

// inos_memory_grow asks for one page more and returns the size after.
size_t inos_memory_grow(machine_t *m, wasmtime_memory_t *mem) {
  uint64_t before;
  wasmtime_error_t *e = wasmtime_memory_grow(m->context, mem, 1, &before);
  if (e != NULL) wasmtime_error_delete(e);
  return wasmtime_memory_data_size(m->context, mem);
}
