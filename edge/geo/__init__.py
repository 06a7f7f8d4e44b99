"""A place on the map: from where a plume is in the picture to where on the ground it comes from.

    locator = Locator(settings, source)            # edge.geo.locator: one camera's
    event = locator.located(event, size)           # the event with its Location, or as it was

`pose` and `place` are the geometry and what becomes of every error in it, `track` is the camera's pose at any time,
`mavlink`, `klv` and `transport` are where poses come from, `incident` says which leaks are one, `geojson` is the map.
What is needed beside the device's own libraries comes with the extra [geo], and is loaded where poses are.
"""
