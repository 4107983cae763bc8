package fs

import (
	"os/user"
	"strconv"
	"strings"
	"sync"
)

// A NameCache translates between the numbers and names of users and groups as
// this machine knows them, asking once for each. Safe for many goroutines.
type NameCache struct {
	mu             sync.Mutex
	users, groups  map[uint32]string
	uids, gids     map[string]known
	lookUser       func(uid string) (*user.User, error)
	lookGroup      func(gid string) (*user.Group, error)
	lookUserName   func(name string) (*user.User, error)
	lookGroupNamed func(name string) (*user.Group, error)
}

type known struct {
	id uint32
	ok bool
}

// NewNameCache returns an empty cache.
func NewNameCache() *NameCache {
	return &NameCache{
		users: map[uint32]string{}, groups: map[uint32]string{},
		uids: map[string]known{}, gids: map[string]known{},
		lookUser: user.LookupId, lookGroup: user.LookupGroupId,
		lookUserName: user.Lookup, lookGroupNamed: user.LookupGroup,
	}
}

// User returns the name of uid, or "" where it has none.
func (c *NameCache) User(uid uint32) string {
	return cached(c, c.users, uid, func() (name string) {
		if u, err := c.lookUser(strconv.FormatUint(uint64(uid), 10)); err == nil {
			name = u.Username
		}
		return name
	})
}

// Group returns the name of gid, or "" where it has none.
func (c *NameCache) Group(gid uint32) string {
	return cached(c, c.groups, gid, func() (name string) {
		if g, err := c.lookGroup(strconv.FormatUint(uint64(gid), 10)); err == nil {
			name = g.Name
		}
		return name
	})
}

// UID returns the number of the user called name, if there is one.
func (c *NameCache) UID(name string) (uid uint32, ok bool) {
	if !possible(name) {
		return 0, false
	}
	k := cached(c, c.uids, name, func() known {
		u, err := c.lookUserName(name)
		if err != nil {
			return known{}
		}
		return number(u.Uid)
	})
	return k.id, k.ok
}

// GID returns the number of the group called name, if there is one.
func (c *NameCache) GID(name string) (gid uint32, ok bool) {
	if !possible(name) {
		return 0, false
	}
	k := cached(c, c.gids, name, func() known {
		g, err := c.lookGroupNamed(name)
		if err != nil {
			return known{}
		}
		return number(g.Gid)
	})
	return k.id, k.ok
}

func number(s string) known {
	n, err := strconv.ParseUint(s, 10, 32)
	return known{uint32(n), err == nil}
}

// maxCached bounds each of the four tables: a tree may name any number of owners.
const maxCached = 10_000

func cached[K comparable, V any](c *NameCache, m map[K]V, key K, find func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := m[key]
	if !ok {
		v = find()
		if len(m) >= maxCached {
			clear(m)
		}
		m[key] = v
	}
	return v
}

// possible reports whether a machine can have a user or group of this name. Asking for
// others may be fatal: systemd's part of the C library has aborted the process on a
// name of 8 MiB. (useradd allows 256 bytes.)
func possible(name string) bool {
	return name != "" && len(name) <= 256 && !strings.ContainsAny(name, "\x00\n:")
}
