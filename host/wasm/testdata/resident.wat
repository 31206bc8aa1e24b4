;; A resident in the second place of the arena that counts its steps in a state and
;; traps after as many as it says behind "STEPS:", which a test may overwrite.
(module
  (import "env" "memory" (memory 512 65536 shared))
  (import "inos" "state" (func $state (param i32 i32 i32) (result i32)))
  (import "inos" "advance" (func $advance (param i32)))

  (global (export "__stack_pointer") (mut i32) (i32.const 0x902000))
  (global (export "__global_base") i32 (i32.const 0x900000))
  (global (export "__data_end") i32 (i32.const 0x901000))
  (global (export "__stack_low") i32 (i32.const 0x901000))
  (global (export "__stack_high") i32 (i32.const 0x902000))
  (global (export "__heap_base") i32 (i32.const 0x902000))
  (global (export "__tls_size") i32 (i32.const 0))
  (global (export "__tls_align") i32 (i32.const 1))
  (global $next (mut i32) (i32.const 0))

  ;; Response ok without output, 72 bytes, as in window.wat.
  (data (i32.const 0x900040) "\00\00\00\00\08\00\00\00\00\00\00\00\01\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\04\00\00\00\01\00\00\00\05\00\00\00\5a\00\00\00\00\00\00\00\00\00\00\00text/plain\00\00\00\00\00\00")
  (data (i32.const 0x900100) "steps")
  (data (i32.const 0x900112) "STEPS:\ff\ff\ff\7f") ;; the number lies at 0x900118

  (func (export "inos_abi") (result i32) (i32.const 2))
  (func (export "inos_region") (param $start i32) (param $end i32)
    (global.set $next (local.get $start)))
  (func (export "inos_alloc") (param $size i32) (result i32)
    (local $p i32)
    (local.set $p (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $p) (local.get $size)))
    (local.get $p))

  ;; 0x900200: the state's address; 0x900204: steps made.
  (func (export "inos_call") (param i32 i32) (result i64)
    (i32.store (i32.const 0x900200) (call $state (i32.const 0x900100) (i32.const 5) (i32.const 64)))
    (if (i32.eqz (i32.load (i32.const 0x900200))) (then unreachable))
    (i64.const 0x0090004000000048)) ;; 0x900040 << 32 | 72

  (func (export "inos_step") (param $worker i32) (param $workers i32) (result i32)
    (local $made i32)
    (if (local.get $worker) (then (return (i32.const 0))))
    (local.set $made (i32.load (i32.const 0x900204)))
    (if (i32.ge_u (local.get $made) (i32.load (i32.const 0x900118))) (then unreachable))
    (i32.store (i32.const 0x900204) (i32.add (local.get $made) (i32.const 1)))
    (call $advance (i32.load (i32.const 0x900200)))
    (i32.const 0)))
