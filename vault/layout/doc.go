// Package layout knows how objects in a store are named, and the ids in those names.
//
//	store.json                          what this store is, and whose
//	trust/<seq>.json.zst                who may write and prune
//	h/<host>/b/<aa>/<sha256>            blob
//	h/<host>/k/<epoch>/<n>.age          epoch key, sealed to the recipients
//	h/<host>/r/<sha256>.age             snapshot root
//	h/<host>/l/<sha256>.zst             blob list
//	h/<host>/m/<set>/<seq>.json.zst     manifest
//	h/<host>/m/<set>/<seq>-<sum>.json.zst  manifest, where the store cannot create only if absent
//	h/<host>/p/<ulid>.json.zst          checkpoint of a running backup
//	h/<host>/n/<ulid>.json.zst          note: tags and pins of a snapshot, after the fact
//	h/<host>/x/<aa>/<sha256>            parity of the blob of that name
//	gc/<host>/<seq>.json.zst            condemned objects and prune records
//	gc/<host>/<sha256>.zst              condemned list: more names of condemned objects
//
// Every key is built and taken apart here and nowhere else. A key has exactly
// one spelling: [Parse] accepts what the builders make, and nothing more.
package layout
