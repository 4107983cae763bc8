package main

import (
	"context"
	"strings"

	"vaultik/engine/events"
	"vaultik/internal/words"
)

type storeInfoCmd struct{}

func (storeInfoCmd) Help() string {
	return `Shows the store's id, owner and hosts, the number and size of objects of each kind,
the free space, and what the place can do. It lists the store once and needs no key.`
}

func (storeInfoCmd) Run(ctx context.Context, s *session) error {
	res, err := s.engine.Info(ctx, s)
	s.sum.Totals = res.Totals
	if err != nil {
		return err
	}
	s.showInfo(res.Info)
	s.out.event(res.Info)
	return nil
}

func (s *session) showInfo(ev events.StoreInfo) {
	rows := [][2]string{
		{"store", ev.Store}, {"url", ev.URL}, {"kind", ev.Kind}, {"owner", ev.Owner},
		{"created", words.Day(ev.Created)},
		{"safety", ev.Safety + ": " + promises[ev.Promise]},
	}
	for _, h := range ev.Hosts {
		rows = append(rows, [2]string{"host", hostText(h)})
	}
	objects, bytes := int64(0), int64(0)
	var kinds [][2]string
	for _, k := range ev.Objects {
		objects, bytes = objects+k.Objects, bytes+k.Bytes
		kinds = append(kinds, [2]string{"  " + k.Kind, words.Count(k.Objects) + ", " +
			words.Size(k.Bytes)})
	}
	rows = append(rows, [2]string{"sets", words.Count(int64(ev.Sets))},
		[2]string{"snapshots", words.Count(ev.Snapshots)},
		[2]string{"objects", words.Count(objects) + ", " + words.Size(bytes)})
	rows = append(append(rows, kinds...), [2]string{"space", room(ev.Free, ev.Total)})
	s.out.table(append(rows, abilities(ev.Abilities)...))
}

func hostText(h events.StoreHost) string {
	text := h.Host + " may " + strings.Join(h.Roles, " and ")
	if h.Revoked != nil {
		text += ", revoked " + words.Day(*h.Revoked)
	}
	if h.Here {
		text += " (this machine)"
	}
	return text
}
