package identity

import (
	"strings"
	"testing"

	"inos/kernel/api"
)

const now = 1_700_000_000

func newBook(t testing.TB) (*InviteBook, *MemberTable) {
	t.Helper()
	seed := seeded(1)
	root := seed.MeshRoot()
	table := NewMemberTable(root.ID())
	if _, err := table.Merge(SignMembership(root, api.Membership{Node: seed.ID(), Roles: api.Seed, Name: "first", Issued: now}), now); err != nil {
		t.Fatal(err)
	}
	book, err := NewInviteBook(root, seed.ID(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	return book, table
}

func issue(t testing.TB, b *InviteBook, id byte, name string) api.InviteToken {
	t.Helper()
	token, err := b.Issue(InviteTerms{
		ID: api.ID{id}, Roles: api.Hub | api.Edge, Name: name, Addrs: []string{"/ip4/127.0.0.1/tcp/4001"}, Expires: now + 100,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestInviteTextRoundTrip(t *testing.T) {
	book, _ := newBook(t)
	token := issue(t, book, 1, "")
	text, err := FormatInvite(token)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseInvite("\n  " + text + " \n")
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != token.ID || got.Secret != token.Secret || got.Addrs[0] != token.Addrs[0] || got.Sig != token.Sig {
		t.Error("the invite changed on its way through text")
	}
	for cut := range len(text) {
		_, err := ParseInvite(text[:cut])
		if api.KindOf(err) != api.Invalid {
			t.Fatalf("cut at %d: %v, want invalid", cut, err)
		}
		if cut > len(InviteScheme) && !strings.Contains(err.Error(), "cut off") {
			t.Fatalf("cut at %d: the message does not say so: %v", cut, err)
		}
	}
	forged := token
	forged.Roles = api.Seed
	text, _ = FormatInvite(forged)
	if _, err := ParseInvite(text); api.KindOf(err) != api.Unverified {
		t.Errorf("a forged invite: %v", err)
	}
}

func TestRedeem(t *testing.T) {
	book, table := newBook(t)
	token := issue(t, book, 1, "")
	joiner := seeded(2)
	req := NewJoinRequest(joiner, token, "second", 0)
	m, err := book.Redeem(req, now+1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Node != joiner.ID() || m.Name != "second" || m.Roles != token.Roles || table.Allowed(joiner.ID(), now+1) != nil {
		t.Errorf("membership %+v", m)
	}
	again, err := book.Redeem(req, now+500)
	if err != nil || again != m {
		t.Errorf("asking again, even after the invite expired: %v", err)
	}
	book2, err := NewInviteBook(book.root, book.seed, table, book.Records())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := book2.Redeem(NewJoinRequest(seeded(3), token, "third", 0), now+1); api.KindOf(err) != api.Exists {
		t.Errorf("a used invite after a restart: %v", err)
	}
}

func TestRedeemRefuses(t *testing.T) {
	book, table := newBook(t)
	open, used, revoked := issue(t, book, 1, ""), issue(t, book, 2, ""), issue(t, book, 3, "")
	if _, err := book.Redeem(NewJoinRequest(seeded(8), used, "eighth", 0), now); err != nil {
		t.Fatal(err)
	}
	if err := book.Revoke(revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := book.Revoke(used.ID); api.KindOf(err) != api.Conflict {
		t.Errorf("revoking a used invite: %v", err)
	}
	if _, err := table.Revoke(SignRevocation(book.root, api.Revocation{Node: seeded(7).ID(), Time: now})); err != nil {
		t.Fatal(err)
	}
	wrongSecret, unknown := open, open
	wrongSecret.Secret[0]++
	unknown.ID, unknown.Secret = api.ID{99}, book.secret(api.ID{99})
	stolen := NewJoinRequest(seeded(2), open, "second", 0)
	stolen.Node = seeded(3).ID()
	replayed := NewJoinRequest(seeded(2), open, "second", 0)
	thief := NewJoinRequest(seeded(3), wrongSecret, "third", 0)
	thief.Proof = replayed.Proof // seen on the wire, signed anew
	thief.Sig = seeded(3).Sign(DomainJoinRequest, canonJoinRequest(&thief))
	for _, c := range []struct {
		name string
		req  api.JoinRequest
		at   int64
		want api.Kind
	}{
		{"expired", NewJoinRequest(seeded(2), open, "second", 0), now + 100, api.Timeout},
		{"used", NewJoinRequest(seeded(2), used, "second", 0), now, api.Exists},
		{"revoked", NewJoinRequest(seeded(2), revoked, "second", 0), now, api.Denied},
		{"unknown", NewJoinRequest(seeded(2), unknown, "second", 0), now, api.NotFound},
		{"wrong secret", NewJoinRequest(seeded(2), wrongSecret, "second", 0), now, api.Unverified},
		{"another's request", stolen, now, api.Unverified},
		{"another's proof", thief, now, api.Unverified},
		{"role beyond", NewJoinRequest(seeded(2), open, "second", api.Seed), now, api.Denied},
		{"name taken", NewJoinRequest(seeded(2), open, "first", 0), now, api.Exists},
		{"bad name", NewJoinRequest(seeded(2), open, "Second!", 0), now, api.Invalid},
		{"no name", NewJoinRequest(seeded(2), open, "", 0), now, api.Invalid},
		{"revoked node", NewJoinRequest(seeded(7), open, "seventh", 0), now, api.Denied},
	} {
		if _, err := book.Redeem(c.req, c.at); api.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := book.Redeem(NewJoinRequest(seeded(2), open, "second", api.Edge), now); err != nil {
		t.Errorf("a refusal used the invite up: %v", err)
	}
}

func TestInviteNamesTheJoiner(t *testing.T) {
	book, _ := newBook(t)
	token := issue(t, book, 1, "chosen")
	m, err := book.Redeem(NewJoinRequest(seeded(2), token, "mine", 0), now)
	if err != nil || m.Name != "chosen" {
		t.Errorf("name %q, %v", m.Name, err)
	}
	if _, err := book.Issue(InviteTerms{ID: api.ID{2}, Roles: api.Hub, Name: "chosen", Addrs: token.Addrs, Expires: now + 1}, now); api.KindOf(err) != api.Exists {
		t.Errorf("an invite for a name that is taken: %v", err)
	}
}

func TestIssueChecksTerms(t *testing.T) {
	book, _ := newBook(t)
	good := InviteTerms{ID: api.ID{1}, Roles: api.Hub, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Expires: now + 1}
	for name, bend := range map[string]func(*InviteTerms){
		"no id":      func(t *InviteTerms) { t.ID = api.ID{} },
		"no role":    func(t *InviteTerms) { t.Roles = 0 },
		"bad role":   func(t *InviteTerms) { t.Roles = 128 },
		"no address": func(t *InviteTerms) { t.Addrs = nil },
		"past":       func(t *InviteTerms) { t.Expires = now },
		"too long":   func(t *InviteTerms) { t.Expires = now + api.MaxInviteSec + 1 },
		"bad name":   func(t *InviteTerms) { t.Name = "A" },
	} {
		terms := good
		bend(&terms)
		if _, err := book.Issue(terms, now); api.KindOf(err) != api.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewInviteBook(seeded(9), seeded(9).ID(), book.table, nil); api.KindOf(err) != api.Denied {
		t.Error("a book without the mesh's root key")
	}
}

func FuzzParseInvite(f *testing.F) {
	book, _ := newBook(f)
	text, _ := FormatInvite(issue(f, book, 1, "name"))
	f.Add(text)
	f.Add(InviteScheme)
	f.Add("inos:bafkr4i")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseInvite(s)
		if err != nil {
			if k := api.KindOf(err); k != api.Invalid && k != api.Unverified {
				t.Fatalf("kind %v", k)
			}
			return
		}
		if _, err := FormatInvite(token); err != nil {
			t.Fatal(err)
		}
	})
}
