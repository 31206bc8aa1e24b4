;; A guest of ABI 2 that names a window. Its unit is "test" and its methods have at
;; most 7 letters, so that the input span lies 112 bytes into the request.
(module
  (import "inos" "epoch_wait" (func $epoch_wait (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 8192))
  ;; Response ok, its output span at 1024+48.
  (data (i32.const 1024) "\00\00\00\00\08\00\00\00\00\00\00\00\01\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\04\00\00\00\01\00\00\00\05\00\00\00\5a\00\00\00\44\33\22\11\88\77\66\55text/plain\00\00\00\00\00\00")

  (func (export "inos_abi") (result i32) (i32.const 2))

  (func $reach (param $end i32)
    (local $need i32)
    (local.set $need (i32.sub (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $need) (i32.const 0)) (then (drop (memory.grow (local.get $need)))))
    (global.set $next (local.get $end)))

  (func (export "inos_alloc") (param $size i32) (result i32)
    (local $p i32)
    (local.set $p (global.get $next))
    (call $reach (i32.and (i32.add (i32.add (local.get $p) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $p))

  (func (export "inos_window") (param $size i32) (result i32)
    (local $p i32)
    (local.set $p (i32.and (i32.add (global.get $next) (i32.const 65535)) (i32.const -65536)))
    (call $reach (i32.add (local.get $p) (local.get $size)))
    (local.get $p))

  (func $ok (param $p i32) (param $n i32) (result i64)
    (i32.store (i32.const 1072) (local.get $p))
    (i32.store (i32.const 1076) (local.get $n))
    (i64.const 0x40000000048)) ;; 1024 << 32 | 72

  ;; How many aligned words of all memory hold the secret.
  (func $scan (result i32)
    (local $at i32) (local $n i32) (local $end i32)
    (local.set $end (i32.shl (memory.size) (i32.const 16)))
    (loop $l
      (if (i64.eq (i64.load (local.get $at)) (i64.sub (i64.const 0x1122334455667789) (i64.const 1)))
        (then (local.set $n (i32.add (local.get $n) (i32.const 1)))))
      (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
    (local.get $n))

  (func (export "inos_call") (param $p i32) (param $len i32) (result i64)
    (local $m i32) (local $in i32) (local $n i32) (local $at i32) (local $end i32)
    (local.set $m (i32.load (i32.add (local.get $p) (i32.const 96))))
    (local.set $in (i32.load (i32.add (local.get $p) (i32.const 112))))
    (local.set $n (i32.load (i32.add (local.get $p) (i32.const 116))))
    (local.set $at (local.get $in))
    (local.set $end (i32.add (local.get $in) (local.get $n)))
    (if (i32.eq (local.get $m) (i32.const 0x6f686365)) (then ;; echo
      (return (call $ok (local.get $in) (local.get $n)))))
    (if (i32.eq (local.get $m) (i32.const 0x656b6f70)) (then ;; poke: says what it sees first, then writes everywhere
      (i64.store (i32.const 2048) (i64.load (local.get $in)))
      (memory.fill (local.get $in) (i32.const 0xee) (local.get $n))
      (i64.store (i32.const 2056) (i64.load (local.get $in)))
      (return (call $ok (i32.const 2048) (i32.const 16)))))
    (if (i32.eq (local.get $m) (i32.const 0x006f6f66)) (then (unreachable))) ;; foo
    (if (i32.eq (local.get $m) (i32.const 0x00636e69)) (then ;; inc: every eighth byte, in place
      (loop $l
        (i64.store (local.get $at) (i64.add (i64.load (local.get $at)) (i64.const 1)))
        (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
      (return (call $ok (local.get $in) (local.get $n)))))
    (if (i32.eq (local.get $m) (i32.const 0x006d7573)) (then ;; sum: reads every cache line
      (i64.store (i32.const 2048) (i64.const 0))
      (loop $l
        (i64.store (i32.const 2048) (i64.add (i64.load (i32.const 2048)) (i64.load (local.get $at))))
        (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
      (return (call $ok (i32.const 2048) (i32.const 8)))))
    (if (i32.eq (local.get $m) (i32.const 0x6b656570)) (then ;; peek: its first word alone
      (i64.store (i32.const 2048) (i64.load (local.get $in)))
      (return (call $ok (i32.const 2048) (i32.const 8)))))
    (if (i32.eq (local.get $m) (i32.const 0x74696177)) (then ;; wait, and look again
      (i64.store (i32.const 2048) (i64.load (local.get $in)))
      (i32.store (i32.const 2064) (call $epoch_wait (i32.const 0) (i32.const 0) (i32.const 3600000)))
      (i64.store (i32.const 2056) (i64.load (local.get $in)))
      (memory.fill (local.get $in) (i32.const 0xee) (local.get $n))
      (return (call $ok (i32.const 2048) (i32.const 24)))))
    (if (i32.eq (local.get $m) (i32.const 0x65696c61)) (then ;; alie: waits for a cell that it was not lent
      (drop (call $epoch_wait (i32.const 7) (i32.const 0) (i32.const 1)))
      (return (call $ok (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $m) (i32.const 0x6b636974)) (then ;; tick: waits 5 ms
      (i32.store (i32.const 2048) (call $epoch_wait (i32.const 0) (i32.const 0) (i32.const 5)))
      (return (call $ok (i32.const 2048) (i32.const 4)))))
    (if (i32.eq (local.get $m) (i32.const 0x6e616373)) (then ;; scan
      (i32.store (i32.const 2048) (call $scan))
      (return (call $ok (i32.const 2048) (i32.const 4)))))
    (unreachable)))
