package main

import "context"

func (c *command) writePage(ctx context.Context) error { return nil }
