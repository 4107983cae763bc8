// Package blob packs chunks into blobs, the unit of upload, and reads them back.
//
//	age( frame frame ... padding table )
//
// A frame is an independent zstd frame with its content size: one large chunk or
// a run of small ones. The padding, a skippable frame, gives the plaintext a
// Padmé size. The table, a last skippable frame, says which chunk stands where,
// so that a blob explains itself:
//
//	frame header  magic 0x184D2A51, length of what follows
//	one row a chunk, 32 bytes: first 16 bytes of the id, then FrameOff, FrameLen, Off, Len
//	trailer, 16 bytes: length of the table from its magic to here, version 1, "vaultikt"
//
// Numbers are 32 bit, little-endian. `age -d -i key blob | zstd -d` yields the
// chunks, back to back.
//
// Out: Compressor makes frames, Builder gathers them, Builder.Seal encrypts. Back:
// Open or OpenBytes check that the file is the one that was meant, Reader gives
// its frames, Decompressor their content. age authenticates only that somebody
// sealed the bytes with the file's key; that it is the file which the host made
// follows from Info.Hdr, which every reader checks before it decrypts anything.
// That a chunk is the right one follows from its id, which the caller checks.
package blob
