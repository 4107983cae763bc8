// Package prunemodel tries to break the protocol by which backups and prunes share a store
// without a lock. It drives [vaultik/vault/gc.Prune] and [vaultik/vault/commit.Run], as they are,
// through random histories of machines and a store, each from one seed, and through the
// histories that broke the protocol in its earlier forms. docs/format.md, "Prune", says what it
// covers and what it does not.
package prunemodel
