-- The pending invitations of somebody whose account is switched off.
CREATE INDEX invitations_inviter ON invitations (invited_by) WHERE status = 'pending';
