package main

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"

	"inos/kernel/api"
)

func TestRecentLogKeepsFieldsApart(t *testing.T) {
	keep := &recentLines{}
	log := slog.New(&recentLog{Handler: slog.NewTextHandler(io.Discard, nil), keep: keep})
	peer := log.With("peer", "bela").WithGroup("link")
	peer.Warn("lost", "after", 3, slog.Group("last", "error", errors.New("reset by peer")), slog.Attr{})
	log.Debug("quiet = loud")
	want := []api.LogLine{
		{Level: "WARN", Message: "lost", Fields: []api.LogField{{Key: "peer", Value: "bela"}, {Key: "link.after", Value: "3"}, {Key: "link.last.error", Value: "reset by peer"}}},
		{Level: "DEBUG", Message: "quiet = loud"},
	}
	got := keep.newest()
	if !slices.EqualFunc(got, want, func(a, b api.LogLine) bool {
		return a.Level == b.Level && a.Message == b.Message && slices.Equal(a.Fields, b.Fields)
	}) {
		t.Fatalf("%+v", got)
	}
}
