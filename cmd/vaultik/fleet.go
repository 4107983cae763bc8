package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"vaultik/engine"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

type fleetCmd struct {
	Status fleetStatusCmd `cmd:"" help:"Show age, size, growth and problems of all hosts and sets."`
}

type fleetStatusCmd struct {
	pick
	cacheFlag
	MaxAge string `name:"max-age" help:"Fail if the newest snapshot of a set is older: 26h, 2d." placeholder:"AGE"`
}

func (fleetStatusCmd) Help() string {
	return `Shows of each set how old the newest snapshot is, whether it is complete and the store
has all that it needs, and of each host how much it stores, and how much it has added in 7 and 30
days by the times of the store. It needs no key and no configuration, but --store: for
monitoring, with --max-age and --json. It fails with code 13 if something is wrong in the
store, and with 1 if only a snapshot is too old.

Sizes are of the host as a whole, since its sets share blobs. NEEDS is what the newest
snapshot needs. vaultik verify checks all snapshots.`
}

func (c *fleetStatusCmd) Run(ctx context.Context, s *session) error {
	if err := s.cached(c.cacheFlag); err != nil {
		return err
	}
	o := engine.FleetOptions{Pick: c.pick.engine()}
	if c.MaxAge != "" {
		age, err := parseAge(c.MaxAge)
		if err != nil {
			return fault.Misuse("fleet status", "--max-age: "+err.Error())
		}
		o.MaxAge = age
	}
	res, err := s.engine.Fleet(ctx, o, s)
	s.sum.Totals = res.Totals
	s.showFleet(res)
	return err
}

// parseAge reads a time such as 26h, 90m or 2d.
func parseAge(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time such as 26h or 2d", text)
	}
	return d, nil
}

// showFleet prints the tables, or the objects.
func (s *session) showFleet(res engine.FleetResult) {
	if len(res.Hosts) == 0 {
		return
	}
	label := hostLabels(res.Hosts)
	hosts := [][]string{{"HOST", "ROLES", "NEWEST", "STORED", "7 DAYS", "30 DAYS", ""}}
	for _, h := range res.Hosts {
		s.out.event(h)
		remark := wrongText(h.Stale, h.Problems)
		if h.Revoked != nil {
			remark = append([]string{"revoked"}, remark...)
		}
		hosts = append(hosts, []string{label[h.Host],
			strings.Join(h.Roles, ","), ageText(h.Age), words.Size(h.Bytes), addedText(h.Week),
			addedText(h.Month), strings.Join(remark, ", ")})
	}
	sets := [][]string{{"HOST", "SET", "SNAPSHOTS", "NEWEST", "NEEDS", ""}}
	for _, e := range res.Sets {
		s.out.event(e)
		remark := wrongText(e.Stale, e.Problems)
		if e.Snapshot != "" && !e.Complete {
			remark = append(remark, "incomplete")
		}
		if e.Snapshot != "" && !e.Whole {
			remark = append(remark, "not whole")
		}
		sets = append(sets, []string{label[e.Host],
			words.Printable(events.NameOf(e.SetName, e.SetName64, e.Set)),
			words.Count(int64(e.Snapshots)), ageText(e.Age), words.Size(e.Bytes),
			strings.Join(remark, ", ")})
	}
	s.showTable(hosts)
	if len(sets) > 1 {
		s.out.raw("\n")
		s.showTable(sets)
	}
}

// hostLabels are the names of hosts; with their ids where several have the same.
func hostLabels(hosts []events.FleetHost) map[string]string {
	out, same := map[string]string{}, map[string]int{}
	for _, h := range hosts {
		out[h.Host] = words.Printable(events.NameOf(h.Hostname, h.Hostname64, h.Host))
		same[out[h.Host]]++
	}
	for id, name := range out {
		if same[name] > 1 {
			out[id] = name + " " + id
		}
	}
	return out
}

// wrongText are what is wrong with a host or a set.
func wrongText(stale bool, problems int) (out []string) {
	if stale {
		out = append(out, "too old")
	}
	if problems > 0 {
		out = append(out, words.Plural(int64(problems), "problem", "problems"))
	}
	return out
}

func addedText(n *int64) string {
	if n == nil {
		return "-"
	}
	return "+" + words.Size(*n)
}

// ageText is an age in its two largest units; "-" for none.
func ageText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	d := time.Duration(*seconds) * time.Second
	if days := int64(d / (24 * time.Hour)); days >= 2 {
		return words.Plural(days, "day", "days")
	}
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	return words.Lasting(d)
}

// showTable prints columns.
func (s *session) showTable(table [][]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range table {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // a strings.Builder never fails
	s.out.raw(trimEnds(b.String()))
}
