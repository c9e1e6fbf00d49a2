-- The store itself says when it took a change, so that one that lands late is found: its
-- writer was held up for longer than its lock lasted, and others have listed meanwhile.
ALTER TABLE resource_changes MODIFY COLUMN recorded_at DEFAULT now64(3, 'UTC');
