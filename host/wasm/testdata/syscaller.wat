;; Makes the system call at 1024 and returns its completion. The length of the
;; input says how: 8 once, 16 from memory that is not there, 24 from inos_alloc,
;; 32 without end, 40 with a request that is too long.
(module
  (import "inos" "syscall" (func $syscall (param i32 i32) (result i64)))
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 65536))
  (global $mode (mut i32) (i32.const 0))
  ;; hostCall kv get k, with id 7
  (data (i32.const 1024) "\00\00\00\00\0d\00\00\00\00\00\00\00\03\00\02\00\07\00\00\00\00\00\00\00\00\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\04\00\0d\00\00\00\1a\00\00\00\0d\00\00\00\22\00\00\00\0d\00\00\00\12\00\00\00\00\00\00\00\00\00\00\00\6b\76\00\00\00\00\00\00\67\65\74\00\00\00\00\00\6b\00\00\00\00\00\00\00")
  ;; a Response whose output is the span at 2048 + 48
  (data (i32.const 2048) "\00\00\00\00\06\00\00\00\00\00\00\00\01\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\04\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00\44\33\22\11\88\77\66\55")
  (func (export "inos_abi") (result i32) (i32.const 2))
  (func (export "inos_alloc") (param $size i32) (result i32)
    (local $at i32)
    (if (i32.eqz (global.get $mode)) (then (global.set $mode (local.get $size))))
    (if (i32.eq (global.get $mode) (i32.const 24)) (then (drop (call $syscall (i32.const 1024) (i32.const 112)))))
    (local.set $at (global.get $next))
    (global.set $next (i32.add (local.get $at) (i32.and (i32.add (local.get $size) (i32.const 7)) (i32.const -8))))
    (if (i32.gt_u (global.get $next) (i32.const 262144)) (then (return (i32.const 0))))
    (local.get $at))
  (func (export "inos_call") (param i32 i32) (result i64)
    (local $done i64)
    (if (i32.eq (global.get $mode) (i32.const 16)) (then (drop (call $syscall (i32.const 262140) (i32.const 112)))))
    (if (i32.eq (global.get $mode) (i32.const 32)) (then
      (loop $again
        (global.set $next (i32.const 131072))
        (drop (call $syscall (i32.const 1024) (i32.const 112)))
        (br $again))))
    (local.set $done (call $syscall (i32.const 1024)
      (select (i32.const 4104) (i32.const 112) (i32.eq (global.get $mode) (i32.const 40)))))
    (i32.store (i32.const 2096) (i32.wrap_i64 (i64.shr_u (local.get $done) (i64.const 32))))
    (i32.store (i32.const 2100) (i32.wrap_i64 (local.get $done)))
    (i64.const 8796093022264))) ;; 2048 << 32 | 56
