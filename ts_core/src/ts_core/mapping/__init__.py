"""From the names and layouts of one network to those of another: rules, maps, matching."""
