"""What is called while a fit runs; `whet.callbacks` has those that users need."""
