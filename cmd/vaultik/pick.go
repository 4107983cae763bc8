package main

import "vaultik/engine"

// pick narrows down which snapshots are meant.
type pick struct {
	Set  string `help:"Only this set: its name or id." placeholder:"NAME"`
	Host string `help:"Only this host: its name or id." placeholder:"NAME"`
}

func (p pick) engine() engine.Pick { return engine.Pick{Set: p.Set, Host: p.Host} }
