"""How well listening hears: its network fitted to the ears' labels, and its figures against judges that look ahead."""
