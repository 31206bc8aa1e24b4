;; Three loops whose gas overhead is measured: a tight one, calls, memory.
(module (memory 2)
  (func (export "work") (param $n i32) (result i32) (local $i i32) (local $h i32)
    (local.set $n (i32.mul (local.get $n) (i32.const 40000)))
    (loop $l
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $h))
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2)) (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "sieve") (param $r i32) (result i32) (local $i i32) (local $j i32) (local $c i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 100000))
      (local.set $c (i32.const 0)) (local.set $i (i32.const 2))
      (loop $l
        (if (i32.eqz (i32.load8_u (local.get $i))) (then
          (local.set $c (i32.add (local.get $c) (i32.const 1)))
          (local.set $j (i32.shl (local.get $i) (i32.const 1)))
          (block $done (loop $m
            (br_if $done (i32.ge_u (local.get $j) (i32.const 100000)))
            (i32.store8 (local.get $j) (i32.const 1))
            (local.set $j (i32.add (local.get $j) (local.get $i)))
            (br $m)))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))
      (br_if $again (local.tee $r (i32.sub (local.get $r) (i32.const 1)))))
    (local.get $c)))
