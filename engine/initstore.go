package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/config"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// newStore is an empty place that init turns into a store.
type newStore struct {
	backend backends.Backend
	atomic  bool // create-if-absent works
}

// newStore opens the place for a store and makes sure that nothing is in it.
func (j *job) newStore(ctx context.Context, p *initPlan, undo *undoList) (*newStore, error) {
	if p.path != "" {
		isNew := false
		err := aside.Do(ctx, func(context.Context) error {
			isNew = !exists(p.path)
			return p.foreign()
		})
		if err != nil {
			return nil, err
		}
		if isNew {
			undo.add(func() { _ = os.Remove(p.path) }) // only if empty
		}
	}
	b, err := j.openBackend(ctx, p.url, backends.Options{Create: true})
	if err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	var info backends.Info
	err = p.empty(ctx, b)
	if err == nil { // asking may leave a trace, which is not for a place that is refused
		info, err = b.Info(ctx)
	}
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return &newStore{b, info.ConditionalPut}, nil
}

// foreign looks for things that are no objects, which a backend does not list.
func (p *initPlan) foreign() error {
	example, file, err := foreignIn(p.path)
	switch {
	case err != nil:
		return fmt.Errorf("create store: %w", err)
	case file || example != "" && !exists(filepath.Join(p.path, layout.StoreJSON)):
		return &storeTaken{url: p.url, path: p.path, file: file, example: example}
	}
	return nil
}

// foreignIn names something that stands in a directory, "" for nothing; file says
// that it is none. What is missing is empty.
func foreignIn(path string) (example string, file bool, err error) {
	names, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case errors.Is(err, syscall.ENOTDIR):
		return "", true, nil
	case err != nil:
		return "", false, err
	}
	for _, e := range names {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "lost+found" {
			continue
		}
		if e.IsDir() && e.Name()+"/" == layout.TrustPrefix {
			// Where a copy ends before its first object is there, this is left, and empty.
			below, _, err := foreignIn(filepath.Join(path, e.Name()))
			if below == "" && err == nil {
				continue
			}
		}
		return e.Name(), false, nil
	}
	return "", false, nil
}

// empty fails where there is any object, and says what kind of thing is there.
func (p *initPlan) empty(ctx context.Context, b backends.Backend) error {
	taken := &storeTaken{url: p.url, path: p.path, halfMade: true}
	found := false
	stop := errors.New("enough")
	err := b.ListStream(ctx, "", func(o backends.ObjectInfo) error {
		found = true
		switch {
		case o.Key == layout.StoreJSON:
			taken.isStore = true
		case !strings.HasPrefix(o.Key, layout.Stem(layout.Trust(1))):
			taken.halfMade, taken.example = false, o.Key
		}
		if taken.isStore && !taken.halfMade {
			return stop
		}
		return nil
	})
	if err != nil && !errors.Is(err, stop) {
		return fmt.Errorf("create store: %w", err)
	}
	if !found {
		return nil
	}
	if taken.halfMade {
		taken.kit = p.kitOf(ctx, b)
	}
	return taken
}

// kitOf is the default path of the recovery kit if it is that of the store in b.
func (p *initPlan) kitOf(ctx context.Context, b backends.Backend) string {
	raw, err := os.ReadFile(p.kitPath)
	if err != nil {
		return ""
	}
	kit, err := keys.ParseKit(raw)
	if err != nil {
		return ""
	}
	data, err := backends.Objects(b).Head(ctx, layout.StoreJSON,
		snapshot.MaxStoreDoc+1)
	if err != nil {
		return p.kitPath // not even store.json was written
	}
	if doc, err := snapshot.DecodeStore(data); err == nil && doc.Store != kit.StoreID {
		return ""
	}
	return p.kitPath
}

// write puts store.json and the first trust list, reads the store back as any
// reader would, and returns what must be remembered of it.
func (n *newStore) write(ctx context.Context, p *initPlan, undo *undoList) (config.Point, error) {
	doc := snapshot.StoreDoc{Store: p.kit.StoreID, Owner: p.kit.Owner.Public(),
		Created: p.kit.Created}
	if !n.atomic {
		doc.Safety = snapshot.SafetyWeak
	}
	storeJSON, err := snapshot.EncodeStore(doc, p.kit.Owner)
	if err != nil {
		return config.Point{}, err
	}
	trust, err := snapshot.EncodeTrust(snapshot.Trust{
		Store: p.kit.StoreID, Seq: 1, Time: p.kit.Created,
		Hosts: []snapshot.TrustHost{{Host: p.host.ID, Key: p.host.Signer.Public(),
			Roles:      []string{snapshot.RoleWrite, snapshot.RolePrune},
			Recipients: []snapshot.Sum{p.recipients.Sum()}}},
	}, p.kit.Owner)
	if err != nil {
		return config.Point{}, err
	}
	trustKey := layout.Trust(1)
	if !n.atomic {
		trustKey = layout.Weak(trustKey, sha256.Sum256(trust))
	}
	for _, o := range []struct {
		key  string
		data []byte
	}{{layout.StoreJSON, storeJSON}, {trustKey, trust}} {
		if err := n.put(ctx, o.key, o.data, undo); err != nil {
			return config.Point{}, fmt.Errorf("create store: %w", err)
		}
	}
	st, err := snapshot.OpenStore(ctx, backends.Objects(n.backend),
		snapshot.Pin{Owner: p.kit.Owner.Public().Fingerprint()})
	if err != nil {
		return config.Point{}, fmt.Errorf("read back the new store: %w", err)
	}
	return config.Point{Seq: st.TrustSeq, Sum: st.TrustSum}, nil
}

// undoTime bounds how long taking back one object may take.
const undoTime = 10 * time.Second

func (n *newStore) put(ctx context.Context, key string, data []byte, undo *undoList) error {
	sum := sha256.Sum256(data)
	if _, err := n.backend.Put(ctx, key, backends.Bytes(data, &sum),
		backends.PutOptions{IfAbsent: n.atomic}); err != nil {
		return err
	}
	undo.add(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		_ = n.backend.Delete(ctx, key)
	})
	return nil
}
