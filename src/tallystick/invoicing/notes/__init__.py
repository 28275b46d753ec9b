"""Credit notes: how they are stored, read and shown. What they come to is `invoicing.domain.notes`; issuing, `service.noting`."""
