package main

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vaultik/config"
	"vaultik/vault/chunk"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// plant puts an empty snapshot into this host's store as a backup would, without
// one: plant SET [unnoted] [incomplete] [DAYSd]. The id is put into $ID. Times are one
// hour apart, so that the output is the same each time; with DAYSd it was made, and stored, so
// many days ago.
func plant(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.Getenv("CONF")
	if dir == "" {
		dir = filepath.Join(ts.Getenv("HOME"), ".config", "vaultik")
	}
	state := config.NewState(dir)
	h, err := state.LoadHost()
	ts.Check(err)
	c, err := config.Load(filepath.Join(dir, "config.yaml"))
	ts.Check(err)
	var set layout.SetID
	ts.Check(state.UpdateSets(func(s *config.Sets) error {
		if known := s.ByName(args[0]); len(known) > 0 {
			set = known[0].ID
			return nil
		}
		set = s.Add(args[0], []string{"/" + args[0]}).ID
		return nil
	}))
	seen, err := state.LoadSeen()
	ts.Check(err)
	last := seen.Manifest(h.Store, h.ID, set)
	m := &snapshot.Manifest{Store: h.Store, Host: h.ID, Set: set, Seq: last.Seq + 1, Complete: !slices.Contains(args, "incomplete")}
	if last.Seq > 0 {
		ts.Check(m.Prev.UnmarshalText([]byte(last.Sum)))
	}
	m.Time = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).Add(time.Duration(m.Seq) * time.Hour)

	days := 0
	for _, arg := range args[1:] {
		if n, found := strings.CutSuffix(arg, "d"); found && days == 0 {
			days, _ = strconv.Atoi(n) // other words are none
		}
	}
	if days > 0 {
		m.Time = time.Now().AddDate(0, 0, -days)
	}

	store := config.FilePath(c.StorageURL)
	epoch, sealed, err := keys.NewEpoch(c.Recipients, m.Time)
	ts.Check(err)
	put(ts, store, layout.EpochKey(h.ID, epoch.ID, 0), sealed)
	m.Keys = []snapshot.KeyRef{{Epoch: epoch.ID, Size: int64(len(sealed)), SHA256: sha256.Sum256(sealed)}}
	root := &snapshot.Root{Store: h.Store, Owner: h.Owner.Fingerprint(), Host: h.ID, Hostname: "canary-host", Set: set,
		SetName: snapshot.Text(args[0]), Seq: m.Seq, Paths: []snapshot.Text{"/x\xff"}, Started: m.Time, Finished: m.Time,
		Complete: m.Complete, Secret: h.Secret, Chunker: chunk.DefaultParams(), Recipients: c.Recipients.Strings(),
		Counts: snapshot.Counts{Files: 1204, Bytes: 41 << 20}}
	raw, name, err := snapshot.SealRoot(root, c.Recipients, epoch)
	ts.Check(err)
	put(ts, store, layout.Root(h.ID, name), raw)
	m.Root = snapshot.RootRef{Name: name, Size: int64(len(raw))}
	raw, err = snapshot.EncodeManifest(m, h.Signer)
	ts.Check(err)
	put(ts, store, layout.Manifest(h.ID, set, m.Seq), raw)
	if days > 0 {
		ts.Check(os.Chtimes(filepath.Join(store, layout.Manifest(h.ID, set, m.Seq)), m.Time, m.Time))
	}
	sum := snapshot.Sum(sha256.Sum256(raw)).String()
	ts.Setenv("ID", sum)
	ts.Setenv("MANIFEST", filepath.Join(store, layout.Manifest(h.ID, set, m.Seq)))
	ts.Setenv("ROOT", filepath.Join(store, layout.Root(h.ID, name)))
	if !slices.Contains(args, "unnoted") {
		ts.Check(state.UpdateSeen(func(s *config.Seen) error {
			s.NoteWritten(h.Store, h.ID, set, config.Point{Seq: m.Seq, Sum: sum})
			return nil
		}))
	}
}

func put(ts *testscript.TestScript, store, key string, data []byte) {
	file := filepath.Join(store, filepath.FromSlash(key))
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o700))
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		ts.Fatalf("%s is there already", key)
	}
	ts.Check(os.WriteFile(file, data, 0o600))
}
