// Package testuser runs tests as a user without privilege, whoever runs them.
package testuser
