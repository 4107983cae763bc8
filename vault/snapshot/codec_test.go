package snapshot

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"vaultik/internal/agetest"
	"vaultik/vault/blob"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

// codec is one kind of signed object, for tests of what all have in common.
type codec struct {
	name      string
	namespace string
	signer    *keys.Signer
	good      []byte
	plain     bool // not compressed
	decode    func([]byte) (any, error)
}

func codecs(t *testing.T) []codec {
	w := newWorld(t)
	l := w.snapshot(w.set)
	tag := w.manifest(w.set, nil)
	tag.Tags, tag.GC = []TagID{{7}}, &GCSeen{3, Sum{1}}
	tagged := w.commit(tag)
	cp := &Checkpoint{Store: w.store, Host: w.host, Set: w.set, Seq: 4, ID: layout.NewULID(testTime), Time: testTime, Needs: l.Needs}
	cpBytes, err := EncodeCheckpoint(cp, w.signer)
	w.must(err)
	w.gc(GC{Seq: 1, Condemned: []Condemned{{First: 1, Names: []string{testName(1)}}},
		Pruned: []Pruned{{Set: w.set, From: 1, To: 2, Sum: Sum{1}}}})
	note, err := EncodeNote(w.note(l, func(n *Note) { n.Tags, n.Sealed, n.Pin = []TagID{{7}}, []byte{1}, true }), w.signer)
	w.must(err)
	manifest := func(b []byte) (any, error) { return DecodeManifest(b, w.signer.Public()) }
	return []codec{
		{"store", storeNamespace, w.owner, w.m.objects[layout.StoreJSON], true, func(b []byte) (any, error) { return DecodeStore(b) }},
		{"trust", trustNamespace, w.owner, w.m.objects[layout.Trust(1)], false, func(b []byte) (any, error) { return DecodeTrust(b, w.owner.Public()) }},
		{"manifest", manifestNamespace, w.signer, w.m.objects[l.Key], false, manifest},
		{"tagged", manifestNamespace, w.signer, w.m.objects[tagged.Key], false, manifest},
		{"checkpoint", checkpointNamespace, w.signer, cpBytes, false, func(b []byte) (any, error) { return DecodeCheckpoint(b, w.signer.Public()) }},
		{"note", noteNamespace, w.signer, note, false, func(b []byte) (any, error) {
			return DecodeNote(b, []keys.PublicKey{w.pruner.Public(), w.signer.Public()})
		}},
		{"gc", gcNamespace, w.pruner, w.m.objects[layout.GC(w.host, 1)], false, func(b []byte) (any, error) {
			return DecodeGC(b, []keys.PublicKey{keys.NewSigner().Public(), w.pruner.Public()})
		}},
	}
}

func (c *codec) sign(t *testing.T, signer *keys.Signer, namespace, line string) []byte {
	if c.plain {
		return forgePlain(t, signer, namespace, line)
	}
	return forge(t, signer, namespace, line)
}

func TestCodecs_acceptedBySSHKeygen(t *testing.T) {
	for _, c := range codecs(t) {
		object := c.good
		if !c.plain {
			object = agetest.Run(t, c.good, "zstd", "-dc")
		}
		line, sig, err := splitSigned(object)
		if err != nil {
			t.Fatal(err)
		}
		allowed := agetest.File(t, "allowed", []byte("signer "+c.signer.Public().String()+"\n"))
		agetest.Run(t, line, "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "signer",
			"-n", c.namespace, "-s", agetest.File(t, "sig", sig))
		agetest.Run(t, line, "jq", "-e", ".v == 1 and .required == []")
	}
}

func TestCodecs_forgeries(t *testing.T) {
	for _, c := range codecs(t) {
		line := lineOf(t, c.good)
		again := func(old, with string) []byte {
			if !strings.Contains(line, old) {
				t.Fatalf("%s has no %q", c.name, old)
			}
			return c.sign(t, c.signer, c.namespace, strings.Replace(line, old, with, 1))
		}
		other := keys.NewSigner()
		otherSig, _ := other.Sign(c.namespace, []byte(line+"\n"))
		unsigned := []byte(line + "\n")
		swapped := append([]byte(line+"\n"), otherSig...)
		if !c.plain {
			unsigned, swapped = compress(unsigned), compress(swapped)
		}
		flipped := []byte(string(c.good))
		flipped[len(flipped)/3] ^= 1
		for name, tt := range map[string]struct {
			b    []byte
			want error // nil: it is fine
			any  bool  // any error will do
		}{
			"good":              {c.good, nil, false},
			"again":             {c.sign(t, c.signer, c.namespace, line), nil, false},
			"unknown field":     {again(`{`, `{"future":{"a":[1,{"b":2}]},`), nil, false},
			"empty":             {nil, ErrDamaged, false},
			"unsigned":          {unsigned, ErrSignature, false},
			"other signer":      {swapped, ErrSignature, false},
			"wrong namespace":   {c.sign(t, c.signer, "file", line), ErrSignature, false},
			"flipped":           {flipped, nil, true},
			"truncated":         {c.good[:len(c.good)-1], nil, true},
			"appended":          {append([]byte(string(c.good)), 'x'), nil, true},
			"newer version":     {again(`"v":1`, `"v":2`), ErrNewerFormat, false},
			"no version":        {again(`"v":1`, `"w":1`), ErrDamaged, false},
			"required":          {again(`"required":[]`, `"required":["future"]`), ErrNewerFormat, false},
			"other type":        {again(`{"type":"`, `{"type":"x`), ErrDamaged, false},
			"duplicate key":     {again(`"v":1`, `"v":1,"v":1`), ErrDamaged, false},
			"duplicate unknown": {again(`{`, `{"f":{"a":1,"a":2},`), ErrDamaged, false},
			"other case":        {again(`"v":1`, `"v":1,"V":1`), ErrDamaged, false},
			"escaped key":       {again(`"v":1`, `"v":1,"\u0076":1`), ErrDamaged, false},
			"not UTF-8":         {again(`{`, "{\"f\":\"\xff\","), ErrDamaged, false},
			"deep":              {again(`{`, `{"f":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,`), ErrDamaged, false},
			"no store":          {again(`"store":"`, `"stove":"`), ErrDamaged, false},
			"short store":       {again(`"store":"`, `"store":"00`), ErrDamaged, false},
			"null":              {c.sign(t, c.signer, c.namespace, "null"), ErrDamaged, false},
			"array":             {c.sign(t, c.signer, c.namespace, "["+line+"]"), ErrDamaged, false},
			"trailing":          {c.sign(t, c.signer, c.namespace, line+"{}"), ErrDamaged, false},
		} {
			v, err := c.decode(tt.b)
			switch {
			case tt.want == nil && !tt.any && err != nil:
				t.Errorf("%s, %s: %v", c.name, name, err)
			case tt.any && err == nil || tt.want != nil && !errors.Is(err, tt.want) && !isStoreCase(c, tt.want, err):
				t.Errorf("%s, %s: %v, want %v", c.name, name, err, tt.want)
			case tt.want == nil && !tt.any:
				if want, _ := c.decode(c.good); name != "unknown field" && !reflect.DeepEqual(v, want) {
					t.Errorf("%s, %s: decodes to something else", c.name, name)
				}
			}
		}
	}
}

// isStoreCase: store.json is parsed before its key is known, so that what is
// cut off is found to be that, and not to be unsigned.
func isStoreCase(c codec, want, err error) bool {
	return c.plain && errors.Is(want, ErrSignature) && errors.Is(err, ErrDamaged)
}

func TestCodecs_bomb(t *testing.T) {
	bomb := compress(make([]byte, MaxTrust+1))
	if len(bomb) > 1<<16 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for _, limit := range []int{100, 1 << 20, MaxTrust} {
		if _, err := decompress(bomb, limit); !errors.Is(err, ErrDamaged) {
			t.Errorf("limit %d: %v, want ErrDamaged", limit, err)
		}
	}
	if b, err := decompress(bomb, MaxTrust+1); err != nil || len(b) != MaxTrust+1 {
		t.Errorf("at the limit: %d bytes, %v", len(b), err)
	}
	if out := agetest.Run(t, bomb, "zstd", "-dc", "--memory=2MB"); len(out) != MaxTrust+1 {
		t.Errorf("zstd -d with little memory: %d bytes", len(out))
	}
	if _, err := DecodeTrust(bomb, keys.NewSigner().Public()); !errors.Is(err, ErrDamaged) {
		t.Errorf("trust: %v", err)
	}
	if _, err := DecodeBlobList(bomb); !errors.Is(err, ErrDamaged) {
		t.Errorf("blob list: %v", err)
	}
	if _, err := DecodeGC(bomb, []keys.PublicKey{keys.NewSigner().Public()}); !errors.Is(err, ErrDamaged) {
		t.Errorf("gc object: %v", err)
	}
	if _, err := DecodeCheckpoint(bomb, keys.NewSigner().Public()); !errors.Is(err, ErrDamaged) {
		t.Errorf("checkpoint: %v", err)
	}
	if err := DecodeCondemned(bomb, layout.HostID{1}, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("condemned list: %v", err)
	}
}

func TestEncode_refusesWhatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	good := w.snapshot(w.set)
	for name, change := range map[string]func(*Manifest){
		"no store":       func(m *Manifest) { m.Store = layout.StoreID{} },
		"seq 0":          func(m *Manifest) { m.Seq = 0 },
		"prev at seq 1":  func(m *Manifest) { m.Prev = Sum{1} },
		"no prev":        func(m *Manifest) { m.Seq = 2 },
		"no root":        func(m *Manifest) { m.Root = RootRef{} },
		"count":          func(m *Manifest) { m.Count++ },
		"bytes":          func(m *Manifest) { m.Bytes-- },
		"blob twice":     func(m *Manifest) { m.Blobs = append(m.Blobs, m.Blobs[0]); m.Count++; m.Bytes += m.Blobs[0].Size },
		"blob of size 0": func(m *Manifest) { m.Blobs = []BlobSize{{blob.Name{1}, 0}}; m.Count, m.Bytes = 1, 0 },
		"huge blob":      func(m *Manifest) { m.Blobs = []BlobSize{{blob.Name{1}, maxInt + 1}}; m.Count, m.Bytes = 1, maxInt+1 },
		"key twice":      func(m *Manifest) { m.Keys = append(m.Keys, m.Keys[0]) },
		"empty list":     func(m *Manifest) { m.Lists = []ListRef{{Sum{1}, 10, 0}} },
		"malformed gc":   func(m *Manifest) { m.GC = &GCSeen{} },
		"list too long":  func(m *Manifest) { m.Lists = []ListRef{{Sum{1}, 10, MaxListed + 1}}; m.Count += MaxListed + 1 },
		"list named twice": func(m *Manifest) {
			m.Lists = []ListRef{{Sum{1}, 10, 1}, {Sum{1}, 10, 1}}
			m.Count += 2
		},
	} {
		m := *good.Manifest
		change(&m)
		if _, err := EncodeManifest(&m, w.signer); !errors.Is(err, ErrInvalid) {
			t.Errorf("manifest, %s: %v, want ErrInvalid", name, err)
		}
	}
	for name, change := range map[string]func(*Checkpoint){
		"no store":     func(c *Checkpoint) { c.Store = layout.StoreID{} },
		"no seq":       func(c *Checkpoint) { c.Seq = 0 },
		"seq too high": func(c *Checkpoint) { c.Seq = layout.MaxSeq + 1 },
		"no ULID":      func(c *Checkpoint) { c.ID = "x" },
		"count":        func(c *Checkpoint) { c.Count++ },
	} {
		c := Checkpoint{Store: w.store, Host: w.host, Set: w.set, Seq: 1,
			ID: layout.NewULID(testTime), Time: testTime, Needs: good.Needs}
		change(&c)
		if _, err := EncodeCheckpoint(&c, w.signer); !errors.Is(err, ErrInvalid) {
			t.Errorf("checkpoint, %s: %v, want ErrInvalid", name, err)
		}
		c.Header, c.Needs = newHeader(checkpointType), c.normal()
		line, err := marshal(&c)
		w.must(err)
		b := forge(t, w.signer, checkpointNamespace, string(line))
		if _, err := DecodeCheckpoint(b, w.signer.Public()); !errors.Is(err, ErrDamaged) {
			t.Errorf("checkpoint, %s, forged: %v, want ErrDamaged", name, err)
		}
	}
	for name, change := range map[string]func(*Note){
		"no store":        func(n *Note) { n.Store = layout.StoreID{} },
		"no host":         func(n *Note) { n.Host = layout.HostID{} },
		"no set":          func(n *Note) { n.Set = layout.SetID{} },
		"no sum":          func(n *Note) { n.Sum = Sum{} },
		"no seq":          func(n *Note) { n.Seq = 0 },
		"no ULID":         func(n *Note) { n.ID = "x" },
		"nothing":         func(n *Note) { n.Pin = false },
		"no names":        func(n *Note) { n.Tags = []TagID{{1}} },
		"names only":      func(n *Note) { n.Sealed = []byte{1} },
		"a tag twice":     func(n *Note) { n.Untags = []TagID{{1}, {1}} },
		"tags unsorted":   func(n *Note) { n.Tags, n.Sealed = []TagID{{2}, {1}}, []byte{1} },
		"a pin twice":     func(n *Note) { n.Unpins = []string{n.ID, n.ID} },
		"no id of a pin":  func(n *Note) { n.Unpins = []string{"x"} },
		"too many unpins": func(n *Note) { n.Untags = make([]TagID, MaxTags+1) },
	} {
		n := w.note(good, func(n *Note) { n.Pin = true; change(n) })
		if _, err := EncodeNote(n, w.signer); !errors.Is(err, ErrInvalid) {
			t.Errorf("note, %s: %v, want ErrInvalid", name, err)
		}
	}
	names := func(n uint32) []string { return []string{testName(n)} }
	for name, g := range map[string]GC{
		"manifest":        {Condemned: []Condemned{{First: 1, Names: []string{good.Key}}}},
		"key":             {Condemned: []Condemned{{First: 1, Names: []string{layout.Blob(w.host, [32]byte{1})}}}},
		"unknown":         {Condemned: []Condemned{{First: 1, Names: []string{"z/1"}}}},
		"from later":      {Condemned: []Condemned{{First: 2, Names: []string{testName(1)}}}},
		"no first":        {Condemned: []Condemned{{Names: []string{testName(1)}}}},
		"deleted at once": {Condemned: []Condemned{{First: 1, Deleted: 1, Names: []string{testName(1)}}}},
		"deleted later":   {Condemned: []Condemned{{First: 1, Deleted: 2, Names: []string{testName(1)}}}},
		"no names":        {Condemned: []Condemned{{First: 1}}},
		"names unsorted":  {Condemned: []Condemned{{First: 1, Names: []string{testName(2), testName(1)}}}},
		"a name twice":    {Condemned: []Condemned{{First: 1, Names: []string{testName(1), testName(1)}}}},
		"two of one age": {Condemned: []Condemned{{First: 1, Names: []string{testName(1)}},
			{First: 1, Names: []string{testName(2)}}}},
		"too many names":    {Condemned: []Condemned{{First: 1, Names: testNames(MaxInline + 1)}}},
		"a list twice":      {Condemned: []Condemned{{First: 1, Lists: []ListRef{{Sum{1}, 9, 1}, {Sum{1}, 9, 1}}}}},
		"a list of nothing": {Condemned: []Condemned{{First: 1, Lists: []ListRef{{Sum{1}, 9, 0}}}}},
		"a list too long":   {Condemned: []Condemned{{First: 1, Lists: []ListRef{{Sum{1}, 9, MaxCondemnedNames + 1}}}}},
		"a list too large":  {Condemned: []Condemned{{First: 1, Lists: []ListRef{{Sum{1}, MaxCondemnedList + 1, 1}}}}},
		"too much": {Condemned: []Condemned{{First: 1, Names: testNames(1),
			Lists: testLists(MaxCondemned / MaxCondemnedNames)}}},
		"others at seq 1":      {Others: []Sum{{2}}},
		"dropped, no reason":   {Dropped: []Dropped{{w.set, 1, Sum{1}, ""}}},
		"dropped, another":     {Dropped: []Dropped{{w.set, 1, Sum{1}, "old"}}},
		"dropped, no sum":      {Dropped: []Dropped{{w.set, 1, Sum{}, DroppedFork}}},
		"dropped, no seq":      {Dropped: []Dropped{{w.set, 0, Sum{1}, DroppedFork}}},
		"dropped, no set":      {Dropped: []Dropped{{layout.SetID{}, 1, Sum{1}, DroppedFork}}},
		"dropped twice":        {Dropped: []Dropped{{w.set, 1, Sum{1}, DroppedFork}, {w.set, 1, Sum{1}, DroppedRevoked}}},
		"removed, not covered": {Removed: []Removed{{w.set, 2, Sum{1}}}},
		"removed twice": {Removed: []Removed{{w.set, 2, Sum{1}}, {w.set, 2, Sum{1}}},
			Pruned: []Pruned{{Set: w.set, From: 1, To: 2, Sum: Sum{1}}}},
		"unsorted":       {Pruned: []Pruned{{Set: w.set, From: 5, To: 5, Prev: Sum{1}, Sum: Sum{2}}, {Set: w.set, From: 1, To: 2, Sum: Sum{1}}}},
		"overlap":        {Pruned: []Pruned{{Set: w.set, From: 1, To: 2, Sum: Sum{1}}, {Set: w.set, From: 2, To: 3, Prev: Sum{3}, Sum: Sum{2}}}},
		"deleted before": {Seq: 5, Condemned: []Condemned{{First: 3, Deleted: 2, Names: names(1)}}},
		"groups unsorted": {Seq: 5, Condemned: []Condemned{{First: 3, Names: names(1)},
			{First: 2, Names: names(2)}}},
		"groups unsorted by deletion": {Seq: 5, Condemned: []Condemned{{First: 3, Deleted: 4, Names: names(1)},
			{First: 3, Names: names(2)}}},
		"a name in two groups": {Seq: 5, Condemned: []Condemned{{First: 2, Names: names(1)},
			{First: 3, Names: names(1)}}},
		"a list in two groups": {Seq: 5, Condemned: []Condemned{{First: 2, Lists: []ListRef{{Sum{1}, 9, 1}}},
			{First: 3, Lists: []ListRef{{Sum{1}, 9, 1}}}}},
		"a gc object":       {Condemned: []Condemned{{First: 1, Names: []string{layout.GC(w.host, 1)}}}},
		"another seq":       {Seq: layout.MaxSeq + 1},
		"others, prev":      {Seq: 2, Others: []Sum{{9}}},
		"others, zero":      {Seq: 2, Others: []Sum{{}}},
		"others, unsorted":  {Seq: 2, Others: []Sum{{2}, {1}}},
		"others, twice":     {Seq: 2, Others: []Sum{{1}, {1}}},
		"dropped, unsorted": {Dropped: []Dropped{{w.set, 2, Sum{1}, DroppedFork}, {w.set, 1, Sum{1}, DroppedFork}}},
		"removed, no sum": {Removed: []Removed{{w.set, 2, Sum{}}},
			Pruned: []Pruned{{Set: w.set, From: 1, To: 2, Sum: Sum{1}}}},
	} {
		g.Header, g.Store, g.Host = newHeader(gcType), w.store, w.host
		if g.Seq == 0 {
			g.Seq = 1
		} else {
			g.Prev = Sum{9}
		}
		if _, err := EncodeGC(&g, w.pruner); !errors.Is(err, ErrInvalid) {
			t.Errorf("gc, %s: %v, want ErrInvalid", name, err)
		}
		line, err := marshal(&g)
		w.must(err)
		b := compressNames(forgePlain(t, w.pruner, gcNamespace, string(line)))
		if _, err := DecodeGC(b, []keys.PublicKey{w.pruner.Public()}); !errors.Is(err, ErrDamaged) {
			t.Errorf("gc, %s, forged: %v, want ErrDamaged", name, err)
		}
	}
	if _, err := EncodeStore(StoreDoc{Store: w.store, Owner: w.signer.Public()}, w.owner); !errors.Is(err, ErrInvalid) {
		t.Errorf("store of another owner: %v", err)
	}
	twice := w.trust
	twice.Hosts = append(twice.Hosts, twice.Hosts[0])
	if _, err := EncodeTrust(twice, w.owner); !errors.Is(err, ErrInvalid) {
		t.Errorf("host twice: %v", err)
	}
}

func TestMergePruned(t *testing.T) {
	a, b := layout.SetID{1}, layout.SetID{2}
	got, err := MergePruned([]Pruned{
		{Set: b, From: 1, To: 1, Sum: Sum{9}},
		{Set: a, From: 4, To: 4, Prev: Sum{3}, Sum: Sum{4}},
		{Set: a, From: 1, To: 1, Sum: Sum{1}},
		{Set: a, From: 2, To: 3, Prev: Sum{1}, Sum: Sum{3}},
		{Set: a, From: 6, To: 6, Prev: Sum{5}, Sum: Sum{6}},
	})
	want := []Pruned{
		{Set: a, From: 1, To: 4, Sum: Sum{4}},
		{Set: a, From: 6, To: 6, Prev: Sum{5}, Sum: Sum{6}},
		{Set: b, From: 1, To: 1, Sum: Sum{9}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("MergePruned = %+v, %v", got, err)
	}
}

// A check of a store decodes thousands of small manifests: each takes little more memory than
// it has bytes.
func TestDecodeManifest_Memory(t *testing.T) {
	w := newWorld(t)
	b, err := EncodeManifest(w.manifest(w.set, testBlobs(100, 1)), w.signer)
	w.must(err)
	const times = 200
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		if _, err := DecodeManifest(b, w.signer.Public()); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	one := (after.TotalAlloc - before.TotalAlloc) / times
	if t.Logf("%d bytes took %d", len(b), one); one > 70<<10 {
		t.Errorf("a manifest of %d bytes takes %d", len(b), one)
	}
	line, err := testBlobs(1, 1)[0].MarshalJSON()
	w.must(err)
	var s BlobSize
	if n := testing.AllocsPerRun(100, func() { _ = s.UnmarshalJSON(line) }); n > 0 {
		t.Errorf("a blob takes %v allocations", n)
	}
}
