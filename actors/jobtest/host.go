package jobtest

import (
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vaultik/actors"
	"vaultik/actors/backup"
	"vaultik/backends"
	"vaultik/backends/mem"
	"vaultik/index"
	"vaultik/internal/testtree"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Host is a host with its own store in memory.
type Host struct {
	T        testing.TB
	Store    backends.Backend
	Opened   *snapshot.Store
	index    *index.Index
	Host     backup.Host
	Recips   keys.Recipients
	Identity *keys.Identity
	epoch    keys.EpochKey
	Set      layout.SetID
	Head     backup.Head
	System   *actors.System
	IndexDir string
	Now      func() time.Time
	Edit     func(*backup.Spec)
}

func New(t testing.TB) *Host {
	t.Helper()
	h := &Host{
		T: t, Store: mem.New(), Set: layout.NewSetID(), System: actors.NewSystem(nil),
		IndexDir: filepath.Join(t.TempDir(), "index"),
	}
	t.Cleanup(h.System.Close)
	// As if all files were old: a change within two seconds of its reading is read again.
	h.Now = func() time.Time { return time.Now().Add(time.Hour) }
	h.Host = backup.Host{
		ID: layout.NewHostID(), Name: "testhost", Secret: keys.NewHostSecret(),
		Signer: keys.NewSigner(),
	}
	secret, recipient, err := keys.Generate(true)
	Must(t, err)
	h.Identity, err = keys.ParseIdentity(secret)
	Must(t, err)
	h.Recips, err = keys.ParseRecipients([]string{recipient})
	Must(t, err)
	h.initStore()
	h.OpenIndex()
	return h
}

// initStore writes store.json and a trust list with this host, and opens the store.
func (h *Host) initStore() {
	h.T.Helper()
	owner := keys.NewSigner()
	id := layout.NewStoreID()
	doc, err := snapshot.EncodeStore(
		snapshot.StoreDoc{Store: id, Owner: owner.Public(), Created: time.Now()}, owner)
	Must(h.T, err)
	trust, err := snapshot.EncodeTrust(
		snapshot.Trust{Store: id, Seq: 1, Time: time.Now(), Hosts: []snapshot.TrustHost{{
			Host: h.Host.ID, Key: h.Host.Signer.Public(),
			Roles: []string{snapshot.RoleWrite, snapshot.RolePrune},
		}}}, owner)
	Must(h.T, err)
	h.Put(layout.StoreJSON, doc)
	h.Put(layout.Trust(1), trust)
	h.Opened, err = snapshot.OpenStore(h.T.Context(), backends.Objects(h.Store), snapshot.Pin{})
	Must(h.T, err)
}

// SwapRecipients makes further backups for somebody else, as whoever has taken over the host
// would: the epoch stays, so that the owner's key still opens what it is given an epoch key for.
func (h *Host) SwapRecipients(rs keys.Recipients) {
	sum := rs.Sum()
	h.Recips, h.epoch.RecipientsSum = rs, hex.EncodeToString(sum[:])
}

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var LeakOptions = []goleak.Option{
	goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2/z.(*Buffer).Release"),
}

func MakeTree(t testing.TB, tree testtree.Tree, dir string) {
	t.Helper()
	_, err := tree.Create(dir)
	Must(t, err)
}
