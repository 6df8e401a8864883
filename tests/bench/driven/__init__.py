"""What runs inside a measured process, under any interpreter: standard library only, no other file of the benches."""
