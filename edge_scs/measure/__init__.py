"""What a network costs and how long it takes: MultAdds, latency, stages, and the roofline of this machine."""
