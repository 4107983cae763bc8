// Package fidelity shows what backup programs save and restore, attribute by
// attribute. It makes a tree in which each directory has one attribute, has each
// program that is installed save and restore it, and compares what came back with
// package treecmp, which shares no code with any of them. make fidelity writes
// docs/fidelity.md.
package fidelity
