package fs

// MinHole is the smallest hole worth recording, in bytes: a smaller one is read as zeros.
const MinHole = 64 << 10

// An Extent is a run of data in a file, in bytes.
type Extent struct{ Off, Len int64 }
