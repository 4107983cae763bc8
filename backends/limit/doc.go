// Package limit holds stores to a bandwidth: bytes of objects a second, up and
// down, by a timetable if wanted.
//
// One [Limiter] serves all stores of a process. It counts the bytes of objects
// where they enter and leave a backend, so it is the same for every kind of store;
// what protocols add, and lists, is not counted. Bytes that are sent again count
// again: they take the line, too.
package limit
