// Package process ends programs together with those that they have started.
package process
