package main

import (
	"context"
	"fmt"
	"time"

	"vaultik/engine/events"
	"vaultik/internal/words"
)

type storeCheckCmd struct {
	Full bool `help:"Run everything that the program's own tests run, with objects of up to 64 MiB."`
}

func (storeCheckCmd) Help() string {
	return `Checks a place, whether or not it has a store yet: that stored objects are there and
whole, that incomplete ones are never visible, that listings are complete, and that
errors are told apart. Then it reports what the place can do and how fast it is.
Everything happens below check/ in that place, beside any backup, and is removed at the
end; leftovers of a killed check are removed by the next one. How much it transfers is
said first.

It needs no key, and with --store no configuration. It exits 0 only if all checks that
backups rely on pass.`
}

func (c *storeCheckCmd) Run(ctx context.Context, s *session) (err error) {
	s.sum.Totals, err = s.engine.CheckPlace(ctx, c.Full, s)
	return err
}

func (s *session) showCheckBegins(e events.CheckBegins) {
	what := "no store there yet"
	if e.Store != "" {
		what = "store " + e.Store
	}
	s.out.result("checking %s: %s", e.URL, what)
	s.out.result("will upload up to %s and download up to %s, in about %s calls, all below %s",
		words.Size(e.Up), words.Size(e.Down), words.Count(e.Calls), e.Prefix)
}

// showChecking draws what is being tried out now.
func (s *session) showChecking(e events.Checking) {
	switch {
	case e.Name == "":
		s.out.draw("")
	case terminalWidth(s.out.stderr) > 0 && !s.out.quiet:
		s.out.draw("checking: " + e.Name)
	}
}

// showCheck prints one thing that was looked at, of a place or of the configuration.
func (s *session) showCheck(e events.Check) {
	if s.sum.Command == "config check" {
		s.out.result("%-7s  %-14s %s", e.Status, e.Name, words.Printable(e.Detail))
		if e.Hint != "" {
			s.out.result("%-24s hint: %s", "", words.Printable(e.Hint))
		}
		return
	}
	text := words.Took(seconds(e.Seconds))
	switch e.Status {
	case "omitted":
		s.out.result("omitted   %-30s %s", e.Name, e.Detail)
	case "failed":
		s.out.result("failed    %-30s %s", e.Name, text)
		for _, f := range e.Failures {
			s.out.result("            %s", words.Printable(f))
		}
	default:
		if e.Detail != "" {
			text += "  " + e.Detail
		}
		s.out.result("ok        %-30s %s", e.Name, text)
	}
}

// showStoreCheck says what the place can do.
func (s *session) showStoreCheck(e events.StoreCheck) {
	rows := append(abilities(e.Abilities), [2]string{"object lock", e.Lock},
		[2]string{"clock", clockText(e)}, [2]string{"space", room(e.Free, e.Total)})
	rows = append(rows, speedRows(e.Speed)...)
	s.out.result("")
	s.out.table(append(rows, [2]string{"safety", e.Safety + ": " + promises[e.Promise]}))
	if e.Failed == 0 {
		s.out.result("")
		s.out.result("all %d checks that backups rely on passed", e.Passed)
	}
}

// clockText says how the store's clock stands to ours.
func clockText(e events.StoreCheck) string {
	switch {
	case e.Clock == nil,
		*e.Clock == 0 && e.Kind == "rclone": // which often sets the times of objects itself
		return "unknown"
	case *e.Clock == 0:
		return "same as this machine's"
	case *e.Clock > 0:
		return words.Took(seconds(*e.Clock)) + " ahead of this machine's"
	}
	return words.Took(seconds(-*e.Clock)) + " behind this machine's"
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func speedRows(v events.Speed) [][2]string {
	line := func(latency, one, all float64) string {
		text := fmt.Sprintf("%s/s with one connection", words.Size(int64(one)))
		if v.Workers > 1 {
			text += fmt.Sprintf(", %s/s with %d", words.Size(int64(all)), v.Workers)
		}
		return text + "; 1 KiB takes " + brief(seconds(latency))
	}
	return [][2]string{{"put", line(v.LatencyPut, v.PutOne, v.PutAll)},
		{"get", line(v.LatencyGet, v.GetOne, v.GetAll)}}
}

// brief writes a short time.
func brief(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return words.Took(d)
}
