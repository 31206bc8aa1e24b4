;; A guest that behaves, or misbehaves, as the method's first four letters say.
;; Its unit is "test" and its methods have at most 7 letters, so that the input
;; span lies 112 bytes into the request.
(module
  (import "inos" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 4096))
  (global $calls (mut i32) (i32.const 0))
  ;; Response ok, its output span at 1024+48.
  (data (i32.const 1024) "\00\00\00\00\08\00\00\00\00\00\00\00\01\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\04\00\00\00\01\00\00\00\05\00\00\00\5a\00\00\00\44\33\22\11\88\77\66\55text/plain\00\00\00\00\00\00")
  ;; Response error: invalid, "no".
  (data (i32.const 1280) "\00\00\00\00\07\00\00\00\00\00\00\00\01\00\01\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\05\00\00\00\42\00\00\00\05\00\00\00\1a\00\00\00invalid\00no\00\00\00\00\00\00")
  (data (i32.const 1536) "a line from the guest")

  (func (export "inos_abi") (result i32) (i32.const 1))

  (func $alloc (export "inos_alloc") (param $size i32) (result i32)
    (local $p i32) (local $end i32) (local $need i32)
    (local.set $p (global.get $next))
    (local.set $end (i32.and (i32.add (i32.add (local.get $p) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.set $need (i32.sub (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $need) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $need)) (i32.const -1)) (then (return (i32.const 0))))))
    (global.set $next (local.get $end))
    (local.get $p))

  (func $ok (param $p i32) (param $n i32) (result i64)
    (i32.store (i32.const 1072) (local.get $p))
    (i32.store (i32.const 1076) (local.get $n))
    (i64.const 0x40000000048)) ;; 1024 << 32 | 72

  (func $recurse (param $n i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get $n) (i32.const 1))) (i32.const 1)))

  (func $work (param $n i32) (result i32)
    (local $i i32) (local $h i32)
    (loop $l
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $h))

  (func (export "inos_call") (param $p i32) (param $len i32) (result i64)
    (local $m i32)
    (local.set $m (i32.load (i32.add (local.get $p) (i32.const 96))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (global.get $calls)))
    (block $no
    (if (i32.eq (local.get $m) (i32.const 0x6f686365)) (then ;; echo
      (return (call $ok (i32.load (i32.add (local.get $p) (i32.const 112))) (i32.load (i32.add (local.get $p) (i32.const 116)))))))
    (if (i32.eq (local.get $m) (i32.const 0x74617473)) (then ;; stat: state that must be fresh
      (return (call $ok (i32.const 2048) (i32.const 4)))))
    (if (i32.eq (local.get $m) (i32.const 0x706f6f6c)) (then (loop $l (br $l)))) ;; loop
    (if (i32.eq (local.get $m) (i32.const 0x6b726f77)) (then ;; work
      (i32.store (i32.const 2048) (call $work (i32.const 100000)))
      (return (call $ok (i32.const 2048) (i32.const 4)))))
    (if (i32.eq (local.get $m) (i32.const 0x776f7267)) (then (loop $l (drop (memory.grow (i32.const 16))) (br $l)))) ;; grow
    (if (i32.eq (local.get $m) (i32.const 0x75636572)) (then (drop (call $recurse (i32.const 0))))) ;; recu
    (if (i32.eq (local.get $m) (i32.const 0x70617274)) (then (unreachable))) ;; trap
    (if (i32.eq (local.get $m) (i32.const 0x76696430)) (then (drop (i32.div_u (local.get $m) (i32.const 0))))) ;; 0div
    (if (i32.eq (local.get $m) (i32.const 0x00626f6f)) (then (i32.store (i32.const 0xfffffff0) (i32.const 1)))) ;; oob
    (if (i32.eq (local.get $m) (i32.const 0x70646162)) (then (return (i64.const 0xfffffff000000048)))) ;; badp
    (if (i32.eq (local.get $m) (i32.const 0x6c646162)) (then (return (i64.const 0x40000100000)))) ;; badl
    (if (i32.eq (local.get $m) (i32.const 0x62726167)) (then (return (i64.const 0x60000000010)))) ;; garb
    (if (i32.eq (local.get $m) (i32.const 0x6f646162)) (then (return (call $ok (i32.const 0xffff0000) (i32.const 100))))) ;; bado
    (if (i32.eq (local.get $m) (i32.const 0x00676962)) (then (return (call $ok (i32.const 0) (i32.const 70000))))) ;; big
    (if (i32.eq (local.get $m) (i32.const 0x6c696166)) (then (return (i64.const 0x50000000040)))) ;; fail
    (if (i32.eq (local.get $m) (i32.const 0x00676f6c)) (then ;; log
      (loop $l (call $log (i32.const 1) (i32.const 1536) (i32.const 21)) (br_if $l (i32.lt_u (global.get $calls) (i32.const 1))))
      (return (call $ok (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $m) (i32.const 0x626f6f6c)) (then (call $log (i32.const 1) (i32.const -1) (i32.const 21)))) ;; loob
    (if (i32.eq (local.get $m) (i32.const 0x6c6c6966)) (then ;; fill, for ever, 64 MiB at a time
      (drop (memory.grow (i32.const 1024)))
      (loop $l (memory.fill (i32.const 65536) (i32.const 7) (i32.const 0x4000000)) (br $l))))
    (if (i32.eq (local.get $m) (i32.const 0x79706f63)) (then ;; copy, overlapping, both ways
      (drop (memory.grow (i32.const 1024)))
      (loop $l
        (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 0x3f00000))
        (memory.copy (i32.const 65537) (i32.const 65536) (i32.const 0x3f00000)) (br $l)))))
    (unreachable)))
