package engine

import (
	"strings"
	"testing"
	"time"

	"vaultik/engine/events"
	"vaultik/internal/fault"
)

// A set without a new snapshot is named, with what to do.
func TestDrill_Old(t *testing.T) {
	d := &drilling{o: DrillOptions{MaxAge: "26h"}}
	when := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	stale := events.DrilledSet{SetText: "docs", HostText: "web", Whole: &when, Old: true}
	none := events.DrilledSet{SetText: "mail", HostText: "web", Old: true}
	fresh := events.DrilledSet{SetText: "src", HostText: "web", Whole: &when}
	for _, c := range []struct {
		sets []events.DrilledSet
		want string
	}{
		{nil, ""},
		{[]events.DrilledSet{fresh}, ""},
		{[]events.DrilledSet{fresh, stale}, "set docs of web has its newest whole snapshot of "},
		{[]events.DrilledSet{stale, none}, ", older than 26h, and so of 1 other set"},
		{[]events.DrilledSet{none}, "set mail of web has no whole snapshot"},
	} {
		err := d.old(c.sets)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.sets, err, c.want)
		}
		if _, hinted := fault.HintOf(err); err != nil && !hinted {
			t.Errorf("%v: no hint", err)
		}
	}
}
