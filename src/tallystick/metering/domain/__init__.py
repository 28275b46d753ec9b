"""Pure parts of metering: what an event is, which events are admitted, how they are identified and compared."""
