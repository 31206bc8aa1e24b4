package mesh

import (
	"slices"
	"time"

	"inos/kernel/api"
)

const (
	maxOwed   = 1024 // commits owed to holders at once; the oldest is forgotten
	owedTries = 32   // attempts before one is forgotten
)

// owed is a commit that a holder did not answer: it has the blocks, but under
// the provisional lease, which it will let go of in time. Until it is told,
// repair would take it for a good copy.
type owed struct {
	commit SendCommit
	due    time.Duration
	tries  int
	open   bool
}

// owe remembers to repeat a commit.
func (c *Coordinator) owe(e SendCommit) {
	if len(c.owing) >= maxOwed {
		c.owing = slices.Delete(c.owing, 0, 1)
	}
	o := &owed{commit: e, due: c.now + c.cfg.RepairRetry}
	c.owing = append(c.owing, o)
	c.at(o.due)
}

// tickOwed repeats what is due to the holders that are online. One that is not
// gets its turn when it returns.
func (c *Coordinator) tickOwed() {
	for _, o := range c.owing {
		if o.open || c.State(o.commit.To) != MemberOnline {
			continue
		}
		if o.due > c.now {
			c.at(o.due)
			continue
		}
		o.open = true
		o.tries++
		s := c.open(&send{to: o.commit.To, owner: o})
		e := o.commit
		e.Send = s.id
		c.emit(e)
	}
}

func (o *owed) acked(c *Coordinator, _ *send) { c.settleOwed(o) }

func (o *owed) failed(c *Coordinator, _ *send, kind api.Kind) {
	o.open, o.due = false, c.now+c.cfg.RepairRetry
	if !transient(kind) || o.tries >= owedTries {
		c.settleOwed(o)
		return
	}
	c.at(o.due)
}

func (c *Coordinator) settleOwed(o *owed) {
	c.owing = slices.DeleteFunc(c.owing, func(x *owed) bool { return x == o })
}
