package admission

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
)

func payer(n int) (id api.NodeID) { id[0] = byte(n + 1); return id }

func queue(t testing.TB, l Limits) *Queue[int, string] {
	q, err := New[int, string](l)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestFairShare(t *testing.T) {
	q := queue(t, Limits{Workers: 1, Queue: 100})
	for i := range 10 {
		if err := q.Offer(0, Offer{Payer: payer(0)}, i, "many"); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Offer(0, Offer{Payer: payer(1)}, 100, "one"); err != nil {
		t.Fatal(err)
	}
	var order []int
	for {
		key, _, ok := q.Next()
		if !ok {
			break
		}
		if _, _, second := q.Next(); second {
			t.Fatal("two jobs run on one worker")
		}
		order = append(order, key)
		q.Done(key, 1)
	}
	if !slices.Equal(order, []int{0, 100, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Fatalf("order %v", order)
	}
}

func TestBounds(t *testing.T) {
	q := queue(t, Limits{Workers: 1, Queue: 3, PerPayer: 2})
	for i, want := range []api.Kind{api.Other, api.Other, api.Unavailable} {
		if err := q.Offer(0, Offer{Payer: payer(0)}, i, ""); err != nil != (want != api.Other) || err != nil && api.KindOf(err) != want {
			t.Fatalf("offer %d: %v", i, err)
		}
	}
	if err := q.Offer(0, Offer{Payer: payer(0)}, 0, ""); api.KindOf(err) != api.Exists {
		t.Fatalf("a job twice: %v", err)
	}
	if err := q.Offer(0, Offer{Payer: payer(1)}, 5, ""); err != nil {
		t.Fatal(err)
	}
	if err := q.Offer(0, Offer{Payer: payer(2)}, 6, ""); api.KindOf(err) != api.Unavailable {
		t.Fatalf("a full queue: %v", err)
	}
	for _, l := range []Limits{{}, {Workers: -1}, {Workers: 1, Queue: 2, PerPayer: 3}} {
		if _, err := New[int, string](l); api.KindOf(err) != api.Invalid {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// Random use against the plain truth: which jobs are here.
func TestRandomUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Workers: rapid.IntRange(1, 3).Draw(t, "workers"), Queue: 6, PerPayer: 3, Own: payer(0)}
		q, _ := New[int, int](limits)
		waiting, running := map[int]int{}, map[int]int{} // to payers
		share := limits.Workers
		lent := func() (n int) {
			for _, p := range running {
				n += min(p, 1)
			}
			return n
		}
		runnable := func() (n int) {
			for _, p := range waiting {
				if p == 0 || lent() < share {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if q.Len() != len(waiting)+len(running) || q.Running() != len(running) || len(running) > limits.Workers || q.lent != lent() {
					t.Fatalf("%d here, %d running; want %d waiting and %d running", q.Len(), q.Running(), len(waiting), len(running))
				}
				count, payers := 0, 0
				for i := range q.classes {
					c := &q.classes[i]
					held := 0
					for _, list := range c.waiting {
						held += len(list)
					}
					if len(c.turns) != len(c.waiting) || held != c.count || c.passed > Patience+api.Classes {
						t.Fatalf("class %d: %d turns, %d payers, %d of %d jobs, passed over %d times", i, len(c.turns), len(c.waiting), held, c.count, c.passed)
					}
					count += held
				}
				for _, n := range q.payers {
					payers += n
				}
				if count != len(waiting) || payers != count || len(q.jobs) != q.Len() {
					t.Fatal("the tables disagree")
				}
			},
			"offer": func(t *rapid.T) {
				key, p := rapid.IntRange(0, 20).Draw(t, "key"), rapid.IntRange(0, 2).Draw(t, "payer")
				o := Offer{Payer: payer(p), Priority: api.Priority(rapid.IntRange(0, api.Classes-1).Draw(t, "priority"))}
				if q.Offer(0, o, key, key) == nil {
					if _, here := waiting[key]; here {
						t.Fatal("taken twice")
					}
					if _, here := running[key]; here {
						t.Fatal("taken twice")
					}
					waiting[key] = p
				}
			},
			"next": func(t *rapid.T) {
				want := runnable()
				key, job, ok := q.Next()
				if ok != (want > 0 && len(running) < limits.Workers) || ok && key != job {
					t.Fatalf("next is %d, %v", key, ok)
				}
				if ok {
					if running[key] = waiting[key]; running[key] != 0 && lent() > share {
						t.Fatal("more of others' jobs start than are lent")
					}
					delete(waiting, key)
				}
			},
			"lend": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "share")
				q.Lend(n)
				share = max(1, min(n, limits.Workers))
			},
			"done": func(t *rapid.T) {
				key := rapid.IntRange(0, 20).Draw(t, "key")
				q.Done(key, 1)
				delete(running, key)
			},
			"drop": func(t *rapid.T) {
				key := rapid.IntRange(0, 20).Draw(t, "key")
				_, here := waiting[key]
				if _, ok := q.Drop(key); ok != here {
					t.Fatalf("drop is %v", ok)
				}
				delete(waiting, key)
			},
		})
	})
}

// drain takes everything on one worker and returns the jobs in order.
func drain(t testing.TB, q *Queue[int, string]) (order []string) {
	for {
		key, job, ok := q.Next()
		if !ok {
			return order
		}
		order = append(order, job)
		q.Done(key, 10)
		if len(order) > 1000 {
			t.Fatal("the queue does not end")
		}
	}
}

// A higher class goes first, and yet a lower one gets every ninth turn.
func TestPriorities(t *testing.T) {
	q := queue(t, Limits{Workers: 1, Queue: 100, PerPayer: 100})
	key := 0
	offer := func(p api.Priority, n int) {
		for range n {
			key++
			if err := q.Offer(0, Offer{Payer: payer(key % 3), Priority: p}, key, p.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	offer(api.Low, 2)
	offer(api.Normal, 12)
	offer(api.High, 20)
	order := drain(t, q)
	at := map[string][]int{}
	for i, p := range order {
		at[p] = append(at[p], i)
	}
	if len(order) != 34 || order[0] != "high" {
		t.Fatalf("order %v", order)
	}
	if first := at["low"][0]; first > Patience+1 {
		t.Errorf("the first low job is number %d: %v", first, order)
	}
	if first := at["normal"][0]; first > Patience+1 {
		t.Errorf("the first normal job is number %d: %v", first, order)
	}
	if last := at["high"][19]; last > 26 {
		t.Errorf("the last high job is number %d: %v", last, order)
	}
}

// However many high jobs keep coming, a low one starts within a bounded number
// of turns, whatever else waits.
func TestNoClassStarves(t *testing.T) {
	q := queue(t, Limits{Workers: 1, Queue: 1000, PerPayer: 1000})
	if err := q.Offer(0, Offer{Payer: payer(0), Priority: api.Low}, 0, "low"); err != nil {
		t.Fatal(err)
	}
	for turn := 1; ; turn++ {
		for i, p := range []api.Priority{api.High, api.High, api.Normal, api.Normal} {
			if err := q.Offer(0, Offer{Payer: payer(1), Priority: p}, 10*turn+i, ""); err != nil {
				t.Fatal(err)
			}
		}
		key, job, ok := q.Next()
		if !ok || turn > Patience+2 {
			t.Fatalf("the low job still waits after %d turns", turn)
		}
		q.Done(key, 1)
		if job == "low" {
			return
		}
	}
}

func TestDeadlines(t *testing.T) {
	q := queue(t, Limits{Workers: 1, Queue: 100, PerPayer: 100})
	offer := func(key int, now, deadline int64, p api.Priority) api.Kind {
		return api.KindOf(q.Offer(now, Offer{Payer: payer(0), Priority: p, Deadline: deadline}, key, ""))
	}
	if kind := offer(1, 1000, 1000, api.Normal); kind != api.Timeout {
		t.Errorf("a deadline that has passed: %s", kind)
	}
	if kind := offer(2, 1000, 1001, api.Normal); kind != api.Other {
		t.Errorf("a free slot: %s", kind)
	}
	key, _, _ := q.Next()
	q.Done(key, 100) // a job takes 100 ms
	for i := range 5 {
		if kind := offer(10+i, 2000, 0, api.Normal); kind != api.Other {
			t.Fatal(kind)
		}
	}
	for _, tt := range []struct {
		deadline int64
		priority api.Priority
		want     api.Kind
	}{
		{2000 + 300, api.Normal, api.Unavailable}, // 5 jobs before it take 500 ms
		{2000 + 300, api.Low, api.Unavailable},
		{2000 + 300, api.High, api.Other}, // none before it
		{2000 + 900, api.Normal, api.Other},
	} {
		if kind := offer(100+int(tt.deadline)+int(tt.priority), 2000, tt.deadline, tt.priority); kind != tt.want {
			t.Errorf("deadline %d, %s: %s, want %s", tt.deadline-2000, tt.priority, kind, tt.want)
		}
	}
}
